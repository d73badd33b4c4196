"""Warnings survive the column `quality`, and the texts of old rows are still understood."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.core.quality import Warning, format_quality, name_warnings, parse_quality

SPREAD = Warning("spread", "run-to-run spread 30%", remedy="end what else runs on pi4")
CLOCK = Warning(
    "unsteady_clock", "0.94 to 1.00 GHz", remedy="set `governor: performance` in its entry"
)

# Separators, escapes and their parts, far denser than in random text.
fields = st.text() | st.text(alphabet=';: \\,ok"\n', max_size=12)
warnings = st.lists(st.builds(Warning, fields, fields, fields)).map(tuple)


@given(warnings)
@example((Warning("", "", remedy=""),))
@example((Warning("ok", "", remedy=""), Warning("; ", r"\: ", remedy=r"; \; ")))
def test_any_warnings_survive_the_column(warnings: tuple[Warning, ...]) -> None:
    assert parse_quality(format_quality(warnings)) == warnings


@pytest.mark.parametrize(
    ("warnings", "text"),
    [
        ((), "ok"),
        ((SPREAD,), "spread: run-to-run spread 30%: end what else runs on pi4"),
        (
            (CLOCK, SPREAD),
            "unsteady_clock: 0.94 to 1.00 GHz: set `governor: performance` in its entry; "
            "spread: run-to-run spread 30%: end what else runs on pi4",
        ),
        ((Warning("spread", "a; b: c", remedy="d; e"),), r"spread: a;\ b:\ c: d;\ e"),
    ],
)
def test_the_text_is_the_one_that_queries_rely_on(warnings: tuple[Warning, ...], text: str) -> None:
    assert format_quality(warnings) == text
    assert parse_quality(text) == warnings


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("", ()),
        ("spread", (Warning("spread", "", remedy=""),)),
        (
            "few_runs: 2 processes give no interval; spread: 30%",
            (
                Warning("few_runs", "2 processes give no interval", remedy=""),
                Warning("spread", "30%", remedy=""),
            ),
        ),
        (
            "spread: 30%: see `harness devices check pi; 4`; drift: 3%: wait",
            (
                Warning("spread", "30%", remedy="see `harness devices check pi; 4`"),
                Warning("drift", "3%", remedy="wait"),
            ),
        ),
    ],
)
def test_the_text_of_an_old_row_is_understood(text: str, warnings: tuple[Warning, ...]) -> None:
    assert parse_quality(text) == warnings


def test_names_alone_fit_into_a_cell() -> None:
    assert name_warnings((CLOCK, SPREAD)) == "unsteady_clock, spread"
    assert name_warnings(()) == "ok"
