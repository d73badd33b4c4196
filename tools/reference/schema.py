"""The page of tables and columns, from the tables, the views and `db/metadata.yaml`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from sqlalchemy import Column, MetaData, Table, create_engine

from harness.store.database import HEAD
from harness.store.files.workspace import db_folder
from harness.store.tables import metadata
from tools.reference.markdown import as_code, format_table

INTRODUCTION = f"""\
# Tables and columns

This is what the database holds, at schema {HEAD}. `harness query` reads it, and the view
`results` answers most questions. SQLite and PostgreSQL have the same tables.

- Names end with the unit: `_us`, `_bytes`, `_uj`, `_c`, `_khz`.
- Times are ISO 8601 in UTC, and sort as text. JSON is text. Logs are compressed by zstd.
- Nothing is overwritten: a case that is measured again has another row in `measurements`.

The descriptions come from `db/metadata.yaml`, which `datasette --metadata` shows too.
"""
HEADER = ("column", "type", "meaning")


def describe_schema() -> str:
    """Return the page."""
    descriptions = read_descriptions()
    tables = descriptions["databases"]["harness"]["tables"]
    sections = [
        _format_section(
            name,
            columns,
            description=tables[name]["description"],
            meanings={**descriptions["everywhere"], **tables[name]["columns"]},
        )
        for name, columns in _columns_by_table().items()
    ]
    return "\n".join([INTRODUCTION, *sections])


def read_descriptions() -> Mapping[str, Any]:
    descriptions: Mapping[str, Any] = YAML(typ="safe").load(db_folder() / "metadata.yaml")
    return descriptions


def read_views() -> dict[str, list[tuple[str, str]]]:
    """Return the columns of each view, whose types SQLite does not give."""
    engine = create_engine("sqlite://")
    views = sorted((db_folder() / "views").glob("*.sql"))
    with engine.connect() as connection:
        metadata.create_all(connection)
        for file in views:
            connection.exec_driver_sql(f"CREATE VIEW {file.stem} AS {file.read_text()}")
        tables = [Table(file.stem, MetaData(), autoload_with=connection) for file in views]
    return {table.name: _list_columns(table) for table in tables}


def _list_columns(view: Table) -> list[tuple[str, str]]:
    return [(column.name, "") for column in view.columns]


def _columns_by_table() -> dict[str, list[tuple[str, str]]]:
    tables = {name: _columns_of(table) for name, table in sorted(metadata.tables.items())}
    return {**read_views(), **tables}


def _columns_of(table: Table) -> list[tuple[str, str]]:
    return [(column.name, ", ".join(_traits_of(column))) for column in table.columns]


def _traits_of(column: Column[Any]) -> Iterator[str]:
    yield str(column.type).lower()
    if column.primary_key:
        yield "primary key"
    for key in column.foreign_keys:
        yield f"→ {key.target_fullname}"
    if column.nullable:
        yield "may be empty"


def _format_section(
    name: str,
    columns: Sequence[tuple[str, str]],
    *,
    description: str,
    meanings: Mapping[str, str],
) -> str:
    rows = [(as_code(column), traits, meanings[column]) for column, traits in columns]
    return f"## {name}\n\n{description}\n\n{format_table(HEADER, rows)}"
