"""Example comparisons of a float network with its binary twin."""

from typing import Any

from harness.core.comparison import Comparison, Estimate, Pair, Verdict
from tests.rows import result_row


def make_comparison(
    ratio: float, verdict: Verdict, smallest_change: float, seed: int = 0, **candidate_columns: Any
) -> Comparison:
    """Return a pair whose binary side takes `ratio` times as long as the float side's 1 ms."""
    baseline = result_row(precision="float32", latency_us=1000.0, seed=seed)
    candidate = result_row(latency_us=1000.0 * ratio, seed=seed) | candidate_columns
    latency = Estimate(
        ratio, 0.99 * ratio, high=1.01 * ratio, p=0.01, smallest_change=smallest_change
    )
    pair = Pair(baseline, candidate, differences=("governor ondemand → performance",))
    return Comparison(
        pair, latency, size=Estimate(1.0), accuracy=Estimate(0.0), verdict=verdict, p=0.01
    )


FASTER = make_comparison(0.25, Verdict.FASTER, smallest_change=0.02)
SLOWER = make_comparison(1.2, Verdict.SLOWER, smallest_change=0.02, seed=1)
NOISY = make_comparison(1.01, Verdict.NO_DIFFERENCE, smallest_change=0.08, seed=2)
