"""Quantities with units are read exactly, or refused with an example."""

import re
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.quantity import EXAMPLES, PATTERN, UNITS, parse_quantity
from harness.core.search import LimitedMetric

METRICS: list[LimitedMetric] = list(get_args(LimitedMetric))


def refuse(value: object, metric: LimitedMetric) -> str:
    with pytest.raises(ValueError, match="for example") as refused:
        parse_quantity(value, metric)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "metric", "number"),
    [
        ("5 ms", "latency", 5000.0),
        ("5ms", "latency", 5000.0),
        ("800 us", "latency", 800.0),
        ("800 \u00b5s", "latency", 800.0),
        ("800 \u03bcs", "latency", 800.0),
        ("0.2 s", "latency", 200_000.0),
        ("0.0000001 s", "latency", 0.1),
        ("3 mJ", "energy", 3000.0),
        ("200 uJ", "energy", 200.0),
        ("1.5 J", "energy", 1_500_000.0),
        ("1 MB", "size", 1_000_000.0),
        ("512 KiB", "size", 524_288.0),
        ("900 B", "size", 900.0),
        ("64 MiB", "memory", 67_108_864.0),
        ("2 GB", "memory", 2e9),
    ],
)
def test_a_quantity_has_the_unit_of_its_column(
    text: str, metric: LimitedMetric, number: float
) -> None:
    assert parse_quantity(text, metric) == number


@pytest.mark.parametrize(
    ("value", "metric", "problem"),
    [
        (5, "latency", "is 5, without a unit; write for example 5 ms"),
        (0.5, "energy", "is 0.5, without a unit; write for example 3 mJ"),
        ("5", "size", 'is "5", without a unit; write for example 1 MB'),
        ("5 ms", "energy", 'is "5 ms", but energy has the units uJ, mJ, J; '
                           "write for example 3 mJ"),
        ("5 mJ", "latency", 'is "5 mJ", but latency has the units us, ms, s; '
                            "write for example 5 ms"),
        ("1 mb", "size", 'is "1 mb", but size has the units B, kB, KB, MB, GB, KiB, MiB, GiB; '
                         "write for example 1 MB"),
        ("fast", "latency", 'is "fast", but must be a number with a unit, for example 5 ms'),
        ("-5 ms", "latency", 'is "-5 ms", but must be a number with a unit, for example 5 ms'),
        ("0 ms", "latency", 'is "0 ms", which no latency comes near; write for example 5 ms'),
        ("12 days", "latency", 'is "12 days", but latency has the units us, ms, s; '
                               "write for example 5 ms"),
        ("2000000 s", "latency", 'is "2000000 s", which no latency comes near; '
                                 "write for example 5 ms"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(
    value: object, metric: LimitedMetric, problem: str
) -> None:
    assert refuse(value, metric) == problem


@pytest.mark.parametrize(
    "value", [None, True, [], {"ms": 5}, "", " ", "5 ms 3 us", "1e3 us", "٣ ms", "5\nms"]
)
@pytest.mark.parametrize("metric", METRICS)
def test_other_forms_are_refused(value: object, metric: LimitedMetric) -> None:
    assert EXAMPLES[metric] in refuse(value, metric)


@st.composite
def quantities(draw: st.DrawFn) -> tuple[str, LimitedMetric, Fraction]:
    """Return a quantity in any unit of a metric, and its exact value in the column's unit."""
    metric = draw(st.sampled_from(METRICS))
    unit, factor = draw(st.sampled_from(sorted(UNITS[metric].items())))
    whole, digits = draw(st.integers(1, 1000)), draw(st.text("0123456789", max_size=6))
    number = f"{whole}.{digits}" if digits else str(whole)
    space = draw(st.sampled_from(("", " ", "  ")))
    return f"{number}{space}{unit}", metric, Fraction(number) * factor


@given(quantities())
def test_every_quantity_is_read_exactly_and_fits_the_schema(
    quantity: tuple[str, LimitedMetric, Fraction],
) -> None:
    text, metric, exact = quantity
    assert re.search(PATTERN, text)
    if exact <= 10**12:
        assert parse_quantity(text, metric) == float(exact)
    for other in METRICS:
        if not set(UNITS[other]) & set(UNITS[metric]):
            assert "has the units" in refuse(text, other)


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()),
    st.from_regex(r"[0-9.]{0,40} *[a-zA-Zµ]{0,4}", fullmatch=True),
)  # fmt: skip


@given(ANYTHING, st.sampled_from(METRICS))
def test_anything_is_read_within_bounds_or_refused_in_a_sentence(
    value: Any, metric: LimitedMetric
) -> None:
    try:
        quantity = parse_quantity(value, metric)
    except ValueError as refused:
        text = str(refused)
        assert EXAMPLES[metric] in text
        assert "\n" not in text
        assert len(text) < 300
    else:
        assert 0.001 <= quantity <= 1e12
        assert re.search(PATTERN, value)


@pytest.mark.parametrize("metric", METRICS)
def test_an_example_can_be_read(metric: LimitedMetric) -> None:
    assert parse_quantity(EXAMPLES[metric], metric) > 0
