"""Helpers that the writers and readers of all tables share."""

import json
import re
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import zstandard
from sqlalchemy import ColumnElement, Connection, Dialect, Table, any_, func, literal, select
from sqlalchemy.types import ARRAY

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def insert_missing(connection: Connection, table: Table, *rows: Mapping[str, Any]) -> None:
    """Insert the rows whose primary key is new, even if another connection inserts them meanwhile.

    All writers take the keys in the same order, so that no two wait for each other on PostgreSQL.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    in_order = sorted(map(dict, rows), key=lambda row: [str(row.get(name)) for name in key])
    connection.execute(_insert_into(connection, table).on_conflict_do_nothing(), in_order)


def insert_or_replace(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, in place of the one with the same primary key if there is one."""
    insert = _insert_into(connection, table).values(dict(row))
    values = {name: insert.excluded[name] for name in row}
    connection.execute(insert.on_conflict_do_update(index_elements=table.primary_key, set_=values))


def _insert_into(connection: Connection, table: Table) -> "PostgresInsert | SqliteInsert":
    # Import one dialect only: both together would delay every command by a tenth of a second.
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    insert: PostgresInsert | SqliteInsert = dialect.insert(table)
    return insert


def is_any_of(
    dialect: Dialect, column: ColumnElement[Any], values: Collection[object]
) -> ColumnElement[bool]:
    """Return the condition that the column holds one of the values, however many they are.

    The values are bound as one parameter, as databases limit how many a statement may have.
    """
    if dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(column.type)))
    elements = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(elements.c.value))


def to_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def compress_text(text: str) -> bytes:
    return zstandard.compress(text.encode(errors="replace"))


def decompress_text(blob: bytes) -> str:
    return zstandard.decompress(blob).decode()


def make_storable(message: str) -> str:
    """Replace what a database refuses in text: NUL characters, and halves of surrogate pairs.

    A tool may print the first; bytes that are not UTF-8, as in file names, become the second.
    """
    return _UNSTORABLE.sub("\ufffd", message)
