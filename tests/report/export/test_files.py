import csv
import io
import json
import math
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from harness.report.export.files import WRITERS, as_csv, as_json, as_parquet

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.text(
    "a ,'\"\r\n\t=+-@", max_size=4
)
INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)
FLOATS = st.none() | st.floats(allow_nan=False)
COLUMNS = ("integer", "float", "text")
TABLES = st.lists(st.tuples(INTEGERS, FLOATS, st.none() | TEXT), max_size=8)
FORMULA_STARTS = "=+-@\t\r"

TableRow = tuple[int | None, float | None, str | None]


def read_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_csv_has_a_heading_and_the_rows() -> None:
    content = as_csv(("name", "size"), [("a, b", 1), ('say "c"', None), ("two\nlines", 0.5)])
    assert read_csv(content) == [
        ["name", "size"],
        ["a, b", "1"],
        ['say "c"', ""],
        ["two\nlines", "0.5"],
    ]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_csv_disarms_formulas(start: str) -> None:
    (_, (cell,)) = read_csv(as_csv(("name",), [(f"{start}HYPERLINK(1)",)]))
    assert cell == f"'{start}HYPERLINK(1)"


@pytest.mark.parametrize("number", [-5, -0.5])
def test_a_negative_number_stays_a_number_in_csv(number: float) -> None:
    assert read_csv(as_csv(("n",), [(number,)]))[1] == [str(number)]


@given(TABLES)
def test_csv_reads_back(rows: list[TableRow]) -> None:
    heading, *csv_rows = read_csv(as_csv(COLUMNS, rows))
    assert heading == list(COLUMNS)
    assert len(csv_rows) == len(rows)
    for (integer, number, text), cells in zip(rows, csv_rows, strict=True):
        assert (int(cells[0]) if cells[0] else None) == integer
        assert (float(cells[1]) if cells[1] else None) == number
        assert cells[2].removeprefix("'") == (text or "").removeprefix("'")
        assert not cells[2].startswith(tuple(FORMULA_STARTS))


def to_finite(row: TableRow) -> tuple[Any, ...]:
    return tuple(
        None if isinstance(value, float) and not math.isfinite(value) else value for value in row
    )


@given(TABLES)
def test_json_is_one_object_a_line_and_reads_back(rows: list[TableRow]) -> None:
    lines = as_json(COLUMNS, rows).decode().split("\n")
    assert lines.pop() == ""
    assert [tuple(json.loads(line).values()) for line in lines] == list(map(to_finite, rows))
    assert all(tuple(json.loads(line)) == COLUMNS for line in lines)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_json_stays_json_whatever_the_number(number: float) -> None:
    """`Infinity` is JavaScript; other readers of JSON refuse it."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(as_json(("n",), [(number,)]), parse_constant=refuse)


def read_parquet(content: bytes) -> Any:
    return parquet.read_table(pyarrow.BufferReader(content))


@settings(deadline=None)
@given(TABLES)
def test_parquet_reads_back(rows: list[TableRow]) -> None:
    table = read_parquet(as_parquet(COLUMNS, rows))
    assert table.column_names == list(COLUMNS)
    assert [tuple(row.values()) for row in table.to_pylist()] == rows


def test_parquet_keeps_types() -> None:
    table = read_parquet(as_parquet(COLUMNS, [(1, 1.5, "a"), (None, None, None)]))
    assert [str(kind) for kind in table.schema.types] == ["int64", "double", "string"]


@pytest.mark.parametrize(("form", "content"), [("csv", b"a,b\r\n"), ("json", b"")])
def test_csv_and_json_of_no_rows(form: str, content: bytes) -> None:
    assert WRITERS[form](("a", "b"), []) == content


def test_parquet_of_no_rows_keeps_its_columns() -> None:
    assert read_parquet(as_parquet(("a", "b"), [])).column_names == ["a", "b"]


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_takes_a_column_of_several_types(form: str) -> None:
    """SQLite allows such columns."""
    content = WRITERS[form](("a",), [(1,), ("one",), (None,)])
    assert b"one" in content


def test_csv_disarms_headings_and_formulas_after_spaces_or_in_wide_characters() -> None:
    content = as_csv(["=cmd()"], [[" =1"], ["＝1"], ["a = 1"], [-2]]).decode()
    assert content.splitlines() == ["'=cmd()", "' =1", "'＝1", "a = 1", "-2"]


def test_integers_beside_floats_are_floats_in_parquet_however_large() -> None:
    table = read_parquet(as_parquet(["x"], [[2**63 - 1], [1.5], [None]]))
    assert table.column("x").to_pylist() == [float(2**63 - 1), 1.5, None]


def test_bytes_are_hexadecimal_digits_in_csv_and_json() -> None:
    values = [(b"\x00\xff",)]
    assert as_csv(["a"], values) == b"a\r\n00ff\r\n"
    assert as_json(["a"], values) == b'{"a": "00ff"}\n'
    assert read_parquet(as_parquet(["a"], values)).to_pydict() == {"a": [b"\x00\xff"]}
