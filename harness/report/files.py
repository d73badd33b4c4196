"""Rows as csv, JSON lines or Parquet."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

_SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_inert(value) for value in row] for row in values)
    return out.getvalue().encode()


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_SPREADSHEET_FORMULA) else value


def as_json(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """One object a line."""
    return "".join(json.dumps(dict(zip(columns, row, strict=True)), default=str) + "\n" for row in values).encode()


def as_parquet(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    """Raises ModuleNotFoundError where pyarrow (the extra `frames`) is not installed."""
    import pyarrow
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    data = {name: [row[index] for row in values] for index, name in enumerate(columns)}
    parquet.write_table(pyarrow.table(data), sink)
    return bytes(sink.getvalue().to_pybytes())


WRITERS: dict[str, Callable[[Sequence[str], Sequence[Sequence[Any]]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}
