import pytest

from harness.compare.regression import find_regression, is_undetectable
from harness.core.comparison import Comparison, Estimate, Pair, Verdict
from tests.rows import result_row

SLOWER, NO_DIFFERENCE = Verdict.SLOWER, Verdict.NO_DIFFERENCE
EQUAL = Pair(result_row(), result_row())


@pytest.mark.parametrize(
    ("metric", "column", "baseline", "candidate", "limit", "expected"),
    [
        ("size", "size_bytes", 1000, 1500, 0.1, 0.5),
        ("size", "size_bytes", 1000, 1500, 0.5, None),
        ("size", "size_bytes", 1000, 900, 0.0, None),
        ("accuracy", "accuracy", 0.8, 0.6, 0.1, 0.25),
        ("accuracy", "accuracy", 0.8, 0.6, 0.3, None),
        ("accuracy", "accuracy", 0.8, 1.0, 0.0, None),
        ("accuracy", "accuracy", 0.0, 0.5, 0.0, None),
        ("memory", "peak_memory_bytes", 100, 300, 0.1, 2.0),
        ("memory", "peak_memory_bytes", None, 300, 0.1, None),
        ("memory", "peak_memory_bytes", 300, None, 0.1, None),
    ],
)
def test_a_change_for_the_worse_over_the_limit_is_a_regression(
    metric: str,
    column: str,
    baseline: float | None,
    candidate: float | None,
    limit: float,
    expected: float | None,
) -> None:
    pair = Pair(result_row(**{column: baseline}), result_row(**{column: candidate}))
    comparison = Comparison(pair, Estimate(1.0), size=Estimate(1.0), accuracy=None)
    regression = find_regression(comparison, metric, limit=limit)
    assert regression == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("ratio", "verdict", "expected"),
    [
        (1.2, SLOWER, 0.2),
        (1.2, NO_DIFFERENCE, None),
        (1.2, Verdict.UNKNOWN, None),
        (1.02, SLOWER, None),
        (0.5, Verdict.FASTER, None),
        (float("nan"), Verdict.UNKNOWN, None),
    ],
)
def test_a_latency_regresses_only_if_the_verdict_is_slower(
    ratio: float, verdict: Verdict, expected: float | None
) -> None:
    comparison = Comparison(
        EQUAL, Estimate(ratio), size=Estimate(1.0), accuracy=None, verdict=verdict
    )
    regression = find_regression(comparison, "latency", limit=0.05)
    assert regression == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("p", "fails"), [(0.001, True), (0.2, False), (None, True)])
def test_an_accuracy_that_may_be_lower_by_chance_does_not_regress(
    p: float | None, *, fails: bool
) -> None:
    pair = Pair(result_row(accuracy=0.9), result_row(accuracy=0.8))
    comparison = Comparison(pair, Estimate(1.0), size=Estimate(1.0), accuracy=Estimate(-0.1, p=p))
    assert (find_regression(comparison, "accuracy", limit=0.05) is not None) == fails


@pytest.mark.parametrize(
    ("ratio", "verdict", "smallest_change", "undetectable"),
    [
        (1.0, NO_DIFFERENCE, 0.08, True),
        (1.0, NO_DIFFERENCE, 0.03, False),
        (1.0, Verdict.UNKNOWN, None, True),
        (1.2, SLOWER, 0.08, False),
        (1.04, SLOWER, 0.03, False),
    ],
)
def test_a_change_below_the_smallest_detectable_one_is_undetectable(
    ratio: float, verdict: Verdict, smallest_change: float | None, *, undetectable: bool
) -> None:
    latency = Estimate(ratio, smallest_change=smallest_change)
    comparison = Comparison(EQUAL, latency, size=Estimate(1.0), accuracy=None, verdict=verdict)
    assert is_undetectable(comparison, limit=0.05) == undetectable
