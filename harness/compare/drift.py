"""Latencies of different batches on one scale, which a drift of the device does not move.

Pure functions.
"""

from collections.abc import Sequence
from itertools import chain
from statistics import median

from harness.bench.statistics import estimate_paired_ratio, median_interval
from harness.compare.links import merge_blocks, pair_blocks
from harness.core.comparison import Estimate, Evidence


def correct_latency(
    measurements: Sequence[Evidence], reference: Sequence[Evidence]
) -> Estimate | None:
    """Return the latency of a case, µs, corrected for the drift between a device's batches.

    Both arguments are all valid measurements of a case on the device, the second those of its
    reference. The value is

        M · HL(A_i / R_i)

    - A_i and R_i are the averages of the case and of the reference in the same block i.
    - HL is the Hodges-Lehmann estimate of `estimate_paired_ratio`, over all common blocks.
    - M is the median of all averages of the reference, whatever their batch.

    The interval is that of HL, times M. So latencies of different batches lie on one scale, that of
    the device's median state. M is the same for all cases. The interval leaves out how well M is
    known, because that changes neither an order of cases nor a ratio of two. `p` and
    `smallest_change` are None. The reference's own value is M, with the interval of the median.

    Under six common blocks give a value without an interval. None if there is no common block, or
    if a time was below the resolution of the tool's clock.
    """
    averages_us = [*chain.from_iterable(evidence.averages_us for evidence in reference)]
    if not averages_us or not all(averages_us):
        return None
    typical_us = median(averages_us)
    if list(measurements) == list(reference):
        low, high = median_interval(averages_us) or (None, None)
        return Estimate(typical_us, low, high=high, samples=len(averages_us))
    reference_us, case_us = pair_blocks(merge_blocks(reference), merge_blocks(measurements))
    if not case_us or not all(case_us):
        return None
    ratio = estimate_paired_ratio(reference_us, case_us)
    return Estimate(
        typical_us * ratio.value,
        None if ratio.low is None else typical_us * ratio.low,
        high=None if ratio.high is None else typical_us * ratio.high,
        samples=ratio.samples,
        error=ratio.error,
    )
