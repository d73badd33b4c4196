"""Decide whether a candidate is worse than allowed, and whether the data could show it.

Pure functions.
"""

from harness.core.comparison import METRICS, Comparison, Verdict

_SIGNIFICANT = 0.05


def find_regression(comparison: Comparison, metric: str, limit: float) -> float | None:
    """Return how much worse the candidate is, as a share of the baseline: 0.05 is 5 %.

    Worse is slower, larger or less accurate. None if the change is within `limit`, or may be
    due to chance.
    """
    change = _measure_worsening(comparison, metric)
    if change is None or change <= limit or not _is_significant(comparison, metric):
        return None
    return change


def _measure_worsening(comparison: Comparison, metric: str) -> float | None:
    if metric == "latency":
        return comparison.latency.value - 1
    column = METRICS[metric]
    before, after = comparison.pair.baseline[column], comparison.pair.candidate[column]
    if before is None or after is None or before == 0:
        return None
    return float((before - after) / before if metric == "accuracy" else (after - before) / before)


def _is_significant(comparison: Comparison, metric: str) -> bool:
    """Return whether chance alone is an unlikely cause of the change.

    A size is exact, so any change counts. So does one of an accuracy without known images.
    """
    if metric == "latency":
        return comparison.verdict is Verdict.SLOWER
    accuracy = comparison.accuracy
    if metric == "accuracy" and accuracy is not None and accuracy.p is not None:
        return accuracy.p < _SIGNIFICANT
    return True


def is_undetectable(comparison: Comparison, limit: float) -> bool:
    """Return whether the latency passes only because its data could not show a small change."""
    if comparison.verdict is Verdict.FASTER:
        return False
    if find_regression(comparison, "latency", limit=limit) is not None:
        return False
    smallest_change = comparison.latency.smallest_change
    return smallest_change is None or smallest_change > limit
