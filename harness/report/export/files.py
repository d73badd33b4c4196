"""Rows as CSV, JSON Lines or Parquet."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from harness.core.errors import RequestError

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def as_csv(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """Return CSV as RFC 4180 defines it, in which a spreadsheet runs no formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in (columns, *values):
        writer.writerow(map(_disarm, row))
    return out.getvalue().encode()


def _disarm(value: Any) -> Any:
    """Prefix text that a spreadsheet would run as a formula; bytes become hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def as_json(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """Return JSON Lines, an object per row.

    NaN and infinity, which JSON has no number for, are null; bytes are hexadecimal digits.
    """
    rows = (dict(zip(columns, map(_to_json_value, row), strict=True)) for row in values)
    return "".join(json.dumps(row, default=str, allow_nan=False) + "\n" for row in rows).encode()


def _to_json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not isfinite(value) else value


def as_parquet(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """Return a Parquet file. Raises RequestError if pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise RequestError(
            "--format parquet needs pyarrow; run pip install 'bnn-harness[frames]'."
        ) from error
    data = {}
    for index, name in enumerate(columns):
        data[name] = _unify_types([row[index] for row in values])
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(data), sink)
    return bytes(sink.getvalue().to_pybytes())


def _unify_types(column: list[Any]) -> list[Any]:
    """Return the column with values of one type, which Parquet needs and SQLite does not.

    Integers beside floats become floats; any other mixture becomes text.
    """
    types = {type(value) for value in column if value is not None}
    if types == {int, float}:
        return [None if value is None else float(value) for value in column]
    if len(types) <= 1:
        return column
    return [None if value is None else str(value) for value in column]


WRITERS: dict[str, Callable[[Sequence[str], Sequence[Sequence[Any]]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}
FORMATS = ("table", *WRITERS)
