import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.units import (
    format_bytes,
    format_count,
    format_percent,
    format_seconds,
    format_uj,
    format_us,
)

UNITS = {
    "": 1.0,
    "B": 1.0,
    "k": 1e3,
    "kB": 1e3,
    "M": 1e6,
    "MB": 1e6,
    "G": 1e9,
    "GB": 1e9,
    "µs": 1.0,
    "ms": 1e3,
    "s": 1e6,
}


def parse_number(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * UNITS[unit]


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, "–"),
        (0.0, "0 µs"),
        (0.5, "0.5 µs"),
        (12.34, "12.3 µs"),
        (456.7, "457 µs"),
        (1000.0, "1.00 ms"),
        (4560.0, "4.56 ms"),
        (45_600.0, "45.6 ms"),
        (456_000.0, "456 ms"),
        (1_230_000.0, "1.23 s"),
    ],
)
def test_microseconds(microseconds: float | None, text: str) -> None:
    assert format_us(microseconds) == text


@pytest.mark.parametrize(
    ("microjoules", "text"),
    [(None, "–"), (456.7, "457 µJ"), (4560.0, "4.56 mJ"), (1_230_000.0, "1.23 J")],
)
def test_microjoules(microjoules: float | None, text: str) -> None:
    assert format_uj(microjoules) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (17_080_656, "17.1 MB"),
        (147_245_496, "147 MB"),
        (2_500_000_000, "2.50 GB"),
    ],
)
def test_bytes(size: int | None, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (1230, "1.23 k"),
        (1_230_000, "1.23 M"),
        (10**10, "10.0 G"),
    ],
)
def test_counts(count: int | None, text: str) -> None:
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (0.0, "0.0 %"), (0.8765, "87.6 %"), (1.0, "100.0 %")]
)
def test_percent(share: float | None, text: str) -> None:
    assert format_percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (59.9, "59.9 s"),
        (60.0, "1 min 00 s"),
        (61.4, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (3660.0, "1 h 01 min"),
        (90_000.0, "25 h 00 min"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@given(st.floats(min_value=0.01, max_value=1e9))
def test_formatted_microseconds_are_right_to_half_a_percent(microseconds: float) -> None:
    assert parse_number(format_us(microseconds)) == pytest.approx(microseconds, rel=0.0051)


@given(st.integers(min_value=0, max_value=10**12))
def test_formatted_bytes_and_counts_are_right_to_half_a_percent(number: int) -> None:
    assert parse_number(format_bytes(number)) == pytest.approx(number, rel=0.0051)
    assert parse_number(format_count(number)) == pytest.approx(number, rel=0.0051)
