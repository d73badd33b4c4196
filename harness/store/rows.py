"""What every table's writer needs."""

import json
from collections.abc import Mapping
from typing import Any

import zstandard
from sqlalchemy import Connection, Table, and_, insert, select
from sqlalchemy.exc import IntegrityError


def insert_missing(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Inserts unless a row of that primary key is there, or comes there at the same moment: on any database."""
    key = and_(*(column == row[column.name] for column in table.primary_key))
    there = select(1).select_from(table).where(key)
    if connection.execute(there).first() is not None:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(table), [dict(row)])
    except IntegrityError:
        if connection.execute(there).first() is None:
            raise


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def packed(text: str) -> bytes:
    return zstandard.compress(text.encode())


def unpacked(blob: bytes) -> str:
    return zstandard.decompress(blob).decode()


def storable(message: str) -> str:
    """PostgreSQL takes no NUL in a text, and a tool may print one."""
    return message.replace("\0", "\ufffd")
