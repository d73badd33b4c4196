"""What every table's writer needs."""

import json
from collections.abc import Mapping
from typing import Any

import zstandard
from sqlalchemy import Connection, Table, and_, insert, select


def insert_missing(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Inserts unless a row of that primary key is there: on any database, in one transaction with what follows."""
    key = and_(*(column == row[column.name] for column in table.primary_key))
    if connection.execute(select(1).select_from(table).where(key)).first() is None:
        connection.execute(insert(table), [dict(row)])


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def packed(text: str) -> bytes:
    return zstandard.compress(text.encode())


def unpacked(blob: bytes) -> str:
    return zstandard.decompress(blob).decode()
