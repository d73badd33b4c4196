"""What every table's writer needs."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import zstandard
from sqlalchemy import Connection, Table


def insert_missing(connection: Connection, table: Table, *rows: Mapping[str, Any]) -> None:
    """Inserts those whose primary key is not there, and does not come there at the same moment."""
    if not rows:
        return
    # Of its own dialect alone: to import both takes a tenth of a second, of every command.
    insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert
    connection.execute(insert(table).on_conflict_do_nothing(), [dict(row) for row in rows])


def to_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def compress_text(text: str) -> bytes:
    return zstandard.compress(text.encode())


def decompress_text(blob: bytes) -> str:
    return zstandard.decompress(blob).decode()


def replace_nul(message: str) -> str:
    """PostgreSQL takes no NUL in a text, and a tool may print one."""
    return message.replace("\0", "\ufffd")
