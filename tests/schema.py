"""docs/schema.md: made from the tables, the views and db/metadata.yaml.

python -m tests.schema        writes it anew
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from sqlalchemy import Column, MetaData, Table, create_engine

from harness.store.database import HEAD
from harness.store.files.workspace import db_folder
from harness.store.tables import metadata

FILE = Path(__file__).parents[1] / "docs" / "schema.md"
HEADING = f"""\
# The schema

What the database holds, at schema {HEAD}. `harness query "SELECT …"` asks it, read-only; the view `results` is where most
questions end. Units stand in the names: `_us`, `_bytes`, `_uj`, `_c`, `_khz`. Times are ISO 8601 in UTC, and sort as text; JSON is text; logs are
compressed by zstd. Nothing is overwritten: a case that is measured again has another row in `measurements`.

SQLite and PostgreSQL have the same tables. (Made by `python -m tests.schema` from `harness/store/tables.py`, `db/views` and
`db/metadata.yaml`, which `datasette --metadata` shows too; a test holds it.)
"""


def described() -> Mapping[str, Any]:
    told: Mapping[str, Any] = YAML(typ="safe").load(db_folder() / "metadata.yaml")
    return told


def page() -> str:
    told = described()
    about = told["databases"]["harness"]["tables"]
    parts = [
        HEADING,
        *(
            _section(name, about[name], columns=columns, everywhere=told["everywhere"])
            for name, columns in _all().items()
        ),
    ]
    return "\n".join(parts)


def _all() -> dict[str, list[tuple[str, str]]]:
    """By table or view, each column with its type."""
    return {
        "results": results(),
        **{name: _columns(table) for name, table in sorted(metadata.tables.items())},
    }


def results() -> list[tuple[str, str]]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        made = MetaData()
        metadata.create_all(connection)
        connection.exec_driver_sql(
            f"CREATE VIEW results AS {(db_folder() / 'views' / 'results.sql').read_text()}"
        )
        return [
            (column.name, "") for column in Table("results", made, autoload_with=connection).columns
        ]


def _columns(table: Table) -> list[tuple[str, str]]:
    return [(column.name, ", ".join(_kinds(column))) for column in table.columns]


def _kinds(column: Column[Any]) -> Iterator[str]:
    yield str(column.type).lower()
    if column.primary_key:
        yield "primary key"
    for key in column.foreign_keys:
        yield f"→ {key.target_fullname}"
    if column.nullable:
        yield "may be empty"


def _section(
    name: str,
    about: Mapping[str, Any],
    columns: list[tuple[str, str]],
    everywhere: Mapping[str, str],
) -> str:
    meanings = {**everywhere, **about["columns"]}
    rows = [f"| `{column}` | {kind} | {meanings[column]} |" for column, kind in columns]
    return "\n".join(
        (
            f"## {name}\n",
            f"{about['description']}\n",
            "| column | type | |",
            "|---|---|---|",
            *rows,
            "",
        )
    )


def main() -> None:
    FILE.write_text(page())


if __name__ == "__main__":
    main()
