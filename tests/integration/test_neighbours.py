"""The examples of docs/guides/neighbours.md, on a database that has rows."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from datasette.app import Datasette
from duckdb_extensions import import_extension

from harness.store.database import open_database
from tests.check_docs import BLOCK
from tests.store.examples import fill

DATABASE = ".harness/harness.db"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "guides" / "neighbours.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    engine = open_database(f"sqlite:///{folder / DATABASE}")
    fill(engine)
    engine.dispose()
    return folder


@pytest.fixture(autouse=True)
def _in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    for name in ("HARNESS_HOME", "HARNESS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def examples(page: str, language: str) -> list[str]:
    return [block["code"] for block in BLOCK.finditer(page) if block["language"] == language]


def test_each_example_has_three_lines(page: str) -> None:
    for language in ("sql", "python", "duckdb"):
        assert [len(code.splitlines()) for code in examples(page, language)] == [3] * len(
            examples(page, language)
        )


def test_sqlite_finds_the_most_accurate_binary_model(page: str) -> None:
    (sql,) = examples(page, "sql")
    with closing(sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)) as connection:
        rows = connection.execute(sql).fetchall()
    assert rows == [("here", "mlp", '{"layers": 3, "units": 64}', 0.9, 0.1)]


def test_pandas_reads_it(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    library, alone = examples(page, "python")
    exec(compile(library, "the library", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"binary +100\.0\n", printed)
    assert re.search(r"\nsize_ratio +1\.0\n", printed)
    assert re.search(r"\n\[2 rows x \d+ columns\]\n$", printed)
    exec(compile(alone, "pandas alone", "exec"), {})
    assert re.search(r"here +100\.0 +400\.0", capsys.readouterr().out)


def test_duckdb_reads_it(page: str) -> None:
    (code,) = examples(page, "duckdb")
    attach, question = code.split(";\n", 1)
    with duckdb.connect() as connection:
        import_extension("sqlite_scanner", con=connection)
        connection.sql(attach)
        rows = connection.sql(question).fetchall()
    assert [row[:3] for row in rows] == [("here", "binary", 100.0), ("here", "float32", 400.0)]


def test_datasette_shows_it(page: str) -> None:
    (address,) = re.findall(r'http://127.0.0.1:8001/harness/results(\?[^"]+)"', page)
    html, rows = asyncio.run(_request_page(address))
    assert "mlp" in html
    (row,) = rows
    assert (row["device"], row["precision"], row["latency_us"]) == ("here", "binary", 100.0)


async def _request_page(address: str) -> tuple[str, list[dict[str, object]]]:
    """Return the page at this address as HTML, and its rows from JSON."""
    served = Datasette(files=[DATABASE])
    await served.invoke_startup()
    page = await served.client.get(f"/harness/results{address}")
    rows = await served.client.get(f"/harness/results.json{address}&_shape=array")
    assert (page.status_code, rows.status_code) == (200, 200)
    return page.text, json.loads(rows.text)
