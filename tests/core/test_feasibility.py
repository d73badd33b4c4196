"""A constraint is judged by an interval, and only if all of it lies on one side of the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.feasibility import Feasibility, Interval, combine, compute_violation, judge
from harness.core.search import Constraint

LATENCY = Constraint("latency", 5000.0, on="pi4")
FEASIBLE, INFEASIBLE, UNDECIDED = (
    Feasibility.FEASIBLE,
    Feasibility.INFEASIBLE,
    Feasibility.UNDECIDED,
)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        pytest.param(Interval(4000.0, 4500.0, high=4900.0), FEASIBLE, id="below"),
        pytest.param(Interval(4000.0, 4500.0, high=5000.0), FEASIBLE, id="up to the limit itself"),
        pytest.param(Interval(5000.0, 5500.0, high=6000.0), UNDECIDED, id="from the limit itself"),
        pytest.param(Interval(4900.0, 4950.0, high=5100.0), UNDECIDED, id="around, mostly below"),
        pytest.param(Interval(4900.0, 5050.0, high=5100.0), UNDECIDED, id="around, mostly above"),
        pytest.param(Interval(5001.0, 5500.0, high=6000.0), INFEASIBLE, id="above"),
        pytest.param(Interval(None, 9000.0, high=None), UNDECIDED, id="too few processes"),
        pytest.param(None, UNDECIDED, id="not measured yet"),
    ],
)
def test_an_interval_is_feasible_infeasible_or_undecided(
    measured: Interval | None, verdict: Feasibility
) -> None:
    assert judge(LATENCY, measured) is verdict


@pytest.mark.parametrize(
    "constraint", [Constraint("size", 1e6), Constraint("memory", 1e6, on="pi4")]
)
def test_what_has_no_interval_is_decided_by_its_value(constraint: Constraint) -> None:
    assert judge(constraint, Interval(None, 1e6, high=None)) is FEASIBLE
    assert judge(constraint, Interval(None, 1e6 + 1, high=None)) is INFEASIBLE
    assert judge(constraint, None) is UNDECIDED


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([FEASIBLE, FEASIBLE], FEASIBLE),
        ([FEASIBLE, UNDECIDED, FEASIBLE], UNDECIDED),
        ([UNDECIDED, INFEASIBLE, FEASIBLE], INFEASIBLE),
        ([], FEASIBLE),
    ],
)
def test_the_worst_verdict_counts(verdicts: list[Feasibility], worst: Feasibility) -> None:
    assert combine(iter(verdicts)) is worst


@pytest.mark.parametrize(
    ("value", "violation"),
    [(5000.0, 0.0), (10_000.0, 0.693147), (2500.0, -0.693147), (50_000.0, 2.302585)],
)
def test_a_violation_is_the_logarithm_of_the_ratio_to_the_limit(
    value: float, violation: float
) -> None:
    assert compute_violation(LATENCY, value) == pytest.approx(violation, abs=1e-6)


MEASURABLE = st.floats(1e-6, 1e13)


@given(st.floats(1e-3, 1e12), st.lists(MEASURABLE, min_size=3, max_size=3).map(sorted))
def test_a_verdict_and_the_violation_of_the_same_value_agree(
    at_most: float, measured: list[float]
) -> None:
    interval = Interval(*measured)
    constraint = Constraint("latency", at_most, on="pi4")
    violation = compute_violation(constraint, interval.value)
    assert (violation > 0) == (interval.value > at_most)
    verdict = judge(constraint, interval)
    assert verdict is not FEASIBLE or violation <= 0
    assert verdict is not INFEASIBLE or violation > 0


def test_the_smallest_excess_is_a_violation_and_nothing_measured_is_finite() -> None:
    limit = 1.9999999999999998
    assert compute_violation(Constraint("size", limit), 2.0) > 0
    assert -30 < compute_violation(Constraint("memory", 1e12, on="pi4"), 0.0) < 0
