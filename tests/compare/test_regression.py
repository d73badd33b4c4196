import pytest

from harness.compare.regression import find_regression, is_undetectable
from harness.core.comparison import Comparison, Estimate, Pair, Verdict
from tests.rows import result_row

SLOWER, NO_DIFFERENCE = Verdict.SLOWER, Verdict.NO_DIFFERENCE
ALIKE = Pair(result_row(), result_row())


@pytest.mark.parametrize(
    ("metric", "column", "old", "new", "limit", "expected"),
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
def test_a_regression_is_what_is_worse_by_more_than_the_limit(
    metric: str,
    column: str,
    old: float | None,
    new: float | None,
    limit: float,
    expected: float | None,
) -> None:
    pair = Pair(result_row(**{column: old}), result_row(**{column: new}))
    found = find_regression(
        Comparison(pair, Estimate(1.0), size=Estimate(1.0), accuracy=None), metric, limit=limit
    )
    assert found == (expected if expected is None else pytest.approx(expected))


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
def test_a_latency_regresses_only_where_the_data_say_slower(
    ratio: float, verdict: Verdict, expected: float | None
) -> None:
    one = Comparison(ALIKE, Estimate(ratio), size=Estimate(1.0), accuracy=None, verdict=verdict)
    found = find_regression(one, "latency", limit=0.05)
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("p", "fails"), [(0.001, True), (0.2, False), (None, True)])
def test_an_accuracy_that_may_be_lower_by_chance_is_no_regression(
    p: float | None, fails: bool
) -> None:
    pair = Pair(result_row(accuracy=0.9), result_row(accuracy=0.8))
    one = Comparison(pair, Estimate(1.0), size=Estimate(1.0), accuracy=Estimate(-0.1, p=p))
    assert (find_regression(one, "accuracy", limit=0.05) is not None) == fails


@pytest.mark.parametrize(
    ("ratio", "verdict", "smallest_change", "unseen"),
    [
        (1.0, NO_DIFFERENCE, 0.08, True),
        (1.0, NO_DIFFERENCE, 0.03, False),
        (1.0, Verdict.UNKNOWN, None, True),
        (1.2, SLOWER, 0.08, False),
        (1.04, SLOWER, 0.03, False),
    ],
)
def test_what_could_not_have_shown_passes_unseen(
    ratio: float, verdict: Verdict, smallest_change: float | None, unseen: bool
) -> None:
    latency = Estimate(ratio, smallest_change=smallest_change)
    assert (
        is_undetectable(
            Comparison(ALIKE, latency, size=Estimate(1.0), accuracy=None, verdict=verdict), 0.05
        )
        == unseen
    )
