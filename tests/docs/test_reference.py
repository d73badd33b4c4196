"""The reference pages say what the code says."""

import pytest

from harness.store.tables import metadata
from tools.reference import keys, schema
from tools.reference.__main__ import PAGES, render
from tools.reference.project import ROOT


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text == render(page), "run `python -m tools.reference`"


@pytest.mark.parametrize("page", ["sweep_keys", "device_keys"])
def test_every_key_has_a_type_a_default_and_an_example(page: str) -> None:
    lines = render(f"docs/reference/{page}.md").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    assert len(rows) > 20
    assert [row for row in rows if len(row) != len(keys.HEADER) or not all(row)] == []
    assert page == "device_keys" or [row[0] for row in rows].count("`model.name`") == 1


def test_only_existing_columns_are_described() -> None:
    descriptions = schema.read_descriptions()
    columns = {name: set(table.columns.keys()) for name, table in metadata.tables.items()}
    for name, view in schema.read_views().items():
        columns[name] = {column for column, _ in view}
    for name, table in descriptions["databases"]["harness"]["tables"].items():
        assert set(table["columns"]) <= columns[name], name
    assert set(descriptions["everywhere"]) <= set().union(*columns.values())
