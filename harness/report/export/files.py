"""Rows as csv, JSON lines or Parquet."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from harness.core.errors import RequestError

_SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def as_csv(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """As RFC 4180 has it, and inert in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(map(_inert, columns))
    writer.writerows([_inert(value) for value in row] for row in values)
    return out.getvalue().encode()


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, as text; bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    return (
        f"'{value}"
        if isinstance(value, str) and value.lstrip(" ").startswith(_SPREADSHEET_FORMULA)
        else value
    )


def as_json(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """One object a line; what is no number in JSON (NaN, infinity) is null, and bytes are hexadecimal digits."""
    rows = (dict(zip(columns, map(_of_json, row), strict=True)) for row in values)
    return "".join(json.dumps(row, default=str, allow_nan=False) + "\n" for row in rows).encode()


def _of_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not isfinite(value) else value


def as_parquet(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """Raises RequestError where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise RequestError(
            "--format parquet: needs pyarrow; pip install 'bnn-harness[frames]'."
        ) from error
    data = {
        name: _of_one_type([row[index] for row in values]) for index, name in enumerate(columns)
    }
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(data), sink)
    return bytes(sink.getvalue().to_pybytes())


def _of_one_type(column: list[Any]) -> list[Any]:
    """SQLite lets a column hold several types, Parquet does not: then all of it is text."""
    kinds = {type(value) for value in column if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in column]
    if len(kinds) <= 1:
        return column
    return [None if value is None else str(value) for value in column]


WRITERS: dict[str, Callable[[Sequence[str], Sequence[Sequence[Any]]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}
FORMATS = ("table", *WRITERS)
