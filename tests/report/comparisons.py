"""Comparisons to report: what three pairs of a float network and its binary twin say."""

from typing import Any

from harness.core.comparison import Comparison, Estimate, Pair, Verdict
from tests.rows import result_row


def made(
    ratio: float, verdict: Verdict, smallest_change: float, seed: int = 0, **changed: Any
) -> Comparison:
    """Of a binary network that takes `ratio` times as long as its float twin, which takes 1 ms."""
    old = result_row(precision="float32", latency_us=1000.0, seed=seed, **changed)
    new = result_row(latency_us=1000.0 * ratio, seed=seed, **changed)
    latency = Estimate(
        ratio, 0.99 * ratio, high=1.01 * ratio, p=0.01, smallest_change=smallest_change
    )
    pair = Pair(old, new, differences=("governor ondemand → performance",))
    return Comparison(
        pair, latency, size=Estimate(1.0), accuracy=Estimate(0.0), verdict=verdict, p=0.01
    )


FASTER = made(0.25, Verdict.FASTER, smallest_change=0.02)
SLOWER = made(1.2, Verdict.SLOWER, smallest_change=0.02, seed=1)
BLIND = made(1.01, Verdict.NO_DIFFERENCE, smallest_change=0.08, seed=2)
