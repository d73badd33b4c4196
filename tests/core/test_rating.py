"""A point is rated by what devices measured of its networks."""

import pytest

from harness.core.feasibility import Feasibility, Interval
from harness.core.rating import CaseKey, CaseReading, RatedNetwork, Rating, Targets, rate
from harness.core.search import Constraint, Objective, Range, Search

TARGETS = Targets({"pi4": ["pi4"], "phones": ["pixel", "moto"]}, threads=1)
SPACE = {"model.units": Range(1, 9)}
BINARY, FLOAT = (
    RatedNetwork("mlp binary", "b", size_bytes=100),
    RatedNetwork("mlp float32", "f", size_bytes=900),
)


def search(
    *constraints: Constraint, objectives: tuple[Objective, ...] = (Objective("accuracy"),)
) -> Search:
    return Search("optuna", trials=1, space=SPACE, objectives=objectives, constraints=constraints)


def reading(low: float, value: float, high: float) -> CaseReading:
    return CaseReading(Interval(low, value, high=high), processes=20)


def rate_on(request: Search, readings: dict[tuple[str, str], CaseReading]) -> Rating:
    by_case = {CaseKey(artifact, id, threads=1): item for (artifact, id), item in readings.items()}
    return rate(request, [BINARY, FLOAT], targets=TARGETS, readings=by_case)


LATENCY = Constraint("latency", at_most=5_000.0, on="pi4")
ON_PHONES = Constraint("latency", at_most=5_000.0, on="phones")


def test_each_network_must_keep_a_constraint() -> None:
    fast, slow = reading(900, 1_000, high=1_100), reading(5_900, 6_000, high=6_100)
    both_fast = rate_on(search(LATENCY), {("b", "pi4"): fast, ("f", "pi4"): fast})
    assert both_fast.verdict is Feasibility.FEASIBLE
    assert both_fast.violations[str(LATENCY)] < 0
    one_slow = rate_on(search(LATENCY), {("b", "pi4"): fast, ("f", "pi4"): slow})
    assert one_slow.verdict is Feasibility.INFEASIBLE
    assert one_slow.complaint == "mlp float32 on pi4: latency 6.00 ms, the limit is 5.00 ms."
    assert one_slow.violations[str(LATENCY)] == pytest.approx(0.1823, abs=1e-4), "log of 1.2"
    assert one_slow.limited == {"latency on pi4": 6_000.0}


def test_one_slow_network_decides_before_the_others_are_measured() -> None:
    slow = reading(5_900, 6_000, high=6_100)
    rating = rate_on(search(LATENCY), {("b", "pi4"): slow})
    assert rating.verdict is Feasibility.INFEASIBLE
    assert rating.missing == {"pi4"}


def test_the_worst_device_of_a_tag_counts() -> None:
    fast, slow = reading(900, 1_000, high=1_100), reading(5_900, 6_000, high=6_100)
    readings = {("b", "pixel"): fast, ("f", "pixel"): fast, ("b", "moto"): fast}
    undecided = rate_on(search(ON_PHONES), readings)
    assert (undecided.verdict, undecided.missing) == (Feasibility.UNDECIDED, frozenset({"moto"}))
    decided = rate_on(search(ON_PHONES), readings | {("f", "moto"): slow})
    assert decided.verdict is Feasibility.INFEASIBLE
    latency = Objective("latency", on="phones")
    rating = rate_on(search(objectives=(latency,)), readings | {("f", "moto"): slow})
    assert rating.objectives == {"latency on phones": 3_500.0}, "the mean of 1 and 6 ms"


def test_an_interval_around_the_limit_does_not_keep_it() -> None:
    close = reading(4_900, 4_950, high=5_020)
    rating = rate_on(search(LATENCY), {("b", "pi4"): close, ("f", "pi4"): close})
    assert rating.verdict is Feasibility.INFEASIBLE
    assert rating.complaint == (
        "mlp binary on pi4: latency 4.95 ms, the limit is 5.00 ms, "
        "and the interval ends at 5.02 ms even after 20 processes."
    )
    assert 0 < rating.violations[str(LATENCY)] < 0.01


def test_a_case_that_failed_has_its_reason() -> None:
    failed = CaseReading(failure="its tool has no operator LceBconv2d")
    rating = rate_on(search(LATENCY), {("b", "pi4"): failed})
    assert rating.verdict is Feasibility.INFEASIBLE
    assert rating.complaint == "mlp binary on pi4: its tool has no operator LceBconv2d"
    as_objective = rate_on(
        search(objectives=(Objective("latency", on="pi4"),)), {("b", "pi4"): failed}
    )
    assert as_objective.failure == "mlp binary on pi4: its tool has no operator LceBconv2d"
    assert as_objective.objectives == {}


def test_a_number_that_a_device_does_not_report_is_a_failure() -> None:
    energy = Objective("energy", on="pi4")
    fast = reading(900, 1_000, high=1_100)
    rating = rate_on(search(objectives=(energy,)), {("b", "pi4"): fast, ("f", "pi4"): fast})
    assert rating.failure == (
        "mlp binary on pi4: the device reports no energy; "
        "mlp float32 on pi4: the device reports no energy"
    )


def test_sizes_need_no_device() -> None:
    rating = rate_on(search(Constraint("size", at_most=500.0)), {})
    assert rating.verdict is Feasibility.INFEASIBLE
    assert rating.complaint == "mlp float32: size 900 B, the limit is 500 B."
