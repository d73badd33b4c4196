"""Runs → one measurement's numbers: median, interval, and quality in words."""

from collections.abc import Sequence
from math import comb
from statistics import median

from harness.core.bench import Run, Summary

CONFIDENCE = 0.95
# Above this, the median of so few processes says little; seen on an idle machine: under 3 %.
WIDEST_SPREAD = 0.10


def summarise(runs: Sequence[Run]) -> Summary:
    """`runs` holds at least one; each run counts once, however many iterations it made."""
    averages = sorted(run.log.inference.avg_us for run in runs)
    interval = median_interval(averages)
    peaks = [run.log.peak_memory_bytes for run in runs if run.log.peak_memory_bytes is not None]
    return Summary(
        latency_us=median(averages),
        latency_low_us=interval[0] if interval else None,
        latency_high_us=interval[1] if interval else None,
        runs=len(runs),
        peak_memory_bytes=max(peaks) if peaks else None,
        quality=_quality(averages),
    )


def median_interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """The narrowest pair of order statistics that holds the true median in at least 95 % of samples.

    That is so for any distribution: the chance that the true median lies between the k-th least and the k-th most
    of n is 1 - 2 P(Binomial(n, 1/2) < k) (David and Nagaraja, "Order Statistics", 7.1). None where n is under 6:
    then even the whole range does not reach it.
    """
    n = len(ordered)
    reached = [k for k in range(1, n // 2 + 1) if 1 - 2 * sum(comb(n, i) for i in range(k)) / 2**n >= CONFIDENCE]
    return (ordered[reached[-1] - 1], ordered[n - reached[-1]]) if reached else None


def _quality(ordered: Sequence[float]) -> str:
    """Warnings, each `name: what it means and what to do`, with `; ` between them; or `ok`."""
    middle = median(ordered)
    warnings = []
    if median_interval(ordered) is None:
        warnings.append(f"few_runs: {len(ordered)} processes give no 95 % interval, measure with 6 or more")
    if middle == 0:
        warnings.append("below_resolution: the tool's clock shows 0, measure a larger model")
    elif (spread := (ordered[-1] - ordered[0]) / middle) > WIDEST_SPREAD:
        warnings.append(f"spread: the processes differ by {spread:.0%}, measure again on an idle machine")
    return "; ".join(warnings) or "ok"
