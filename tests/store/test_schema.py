"""docs/schema.md says what there is."""

from harness.store.tables import metadata
from tests import schema


def test_the_page_is_the_schema_of_now() -> None:
    assert schema.FILE.read_text() == schema.page(), "run `python -m tests.schema`"


def test_nothing_is_described_that_is_not_there() -> None:
    told = schema.described()
    columns = {name: set(table.columns.keys()) for name, table in metadata.tables.items()}
    columns["results"] = {name for name, _ in schema.results()}
    for name, about in told["databases"]["harness"]["tables"].items():
        assert set(about["columns"]) <= columns[name], name
    assert set(told["everywhere"]) <= set().union(*columns.values())
