"""Whether a candidate is worse than it may be, and whether the data could have shown it. Pure functions."""

from harness.core.comparison import METRICS, Comparison, Verdict

_SIGNIFICANT = 0.05


def find_regression(one: Comparison, metric: str, limit: float) -> float | None:
    """How much worse the candidate is, as a share of the baseline, where that is over `limit` and not by chance.

    0.05 is 5 % slower, larger, or less accurate.
    """
    change = _worse_by(one, metric)
    return change if change is not None and change > limit and _is_no_chance(one, metric) else None


def _worse_by(one: Comparison, metric: str) -> float | None:
    if metric == "latency":
        return one.latency.value - 1
    old, new = one.pair.baseline[METRICS[metric]], one.pair.candidate[METRICS[metric]]
    if old is None or new is None or old == 0:
        return None
    return float((old - new) / old if metric == "accuracy" else (new - old) / old)


def _is_no_chance(one: Comparison, metric: str) -> bool:
    """What is not a sample, as a size, is taken as it is; so is an accuracy of which the images are not known."""
    if metric == "latency":
        return one.verdict is Verdict.SLOWER
    if metric == "accuracy" and one.accuracy is not None and one.accuracy.p is not None:
        return one.accuracy.p < _SIGNIFICANT
    return True


def is_undetectable(one: Comparison, limit: float) -> bool:
    """Whether the latency passes `limit` only because its data could not have shown a change so small."""
    least = one.latency.smallest_change
    if one.verdict is Verdict.FASTER:
        return False
    return find_regression(one, "latency", limit=limit) is None and (least is None or least > limit)
