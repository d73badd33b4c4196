"""Which process is next, and when a case has enough of them. Pure functions, so that a killed bench goes on alike."""

from collections.abc import Sequence
from statistics import median
from typing import Literal

from harness.bench.statistics import median_interval
from harness.core.bench import Protocol
from harness.core.ids import content_id

MOST_TRIES = (
    1.5  # times the most that may count: a device that is disturbed without end is given up
)


def in_order(
    batch: str, block: int, cases: Sequence[str], ordering: Literal["interleaved", "sequential"]
) -> list[str]:
    """The ids of the cases that run in this block, of those that still want a process.

    Interleaved, it is each once. Their order is as good as random, but follows from what they are: a case that has
    enough leaves the others as they were. Sequential, it is the first alone, until it has enough.
    """
    if ordering == "sequential":
        return list(cases[:1])
    return sorted(cases, key=lambda case: content_id([batch, block, case]))


def wants_another(protocol: Protocol, counted: Sequence[float], disturbed: int) -> bool:
    """Whether a case is to run once more. `counted`: averages of the processes that count; `disturbed` did not.

    At least `processes` count. Where there is a target, measuring goes on until the 95 % interval of the median is
    narrower than it, or `process_limit` count. Together with the disturbed ones there are at most 1.5 times as many.
    """
    if len(counted) + disturbed >= MOST_TRIES * protocol.process_limit:
        return False
    if len(counted) < protocol.processes:
        return True
    return len(counted) < protocol.process_limit and is_wide(protocol, counted)


def is_wide(protocol: Protocol, counted: Sequence[float]) -> bool:
    """Whether there is a target, and the 95 % interval of the median is not narrower than it."""
    return protocol.target > 0 and not is_precise(counted, protocol.target)


def is_precise(values: Sequence[float], target: float) -> bool:
    """Whether the 95 % interval of the median is narrower, as a share of the median, than the target."""
    interval = median_interval(values)
    return interval is not None and interval[1] - interval[0] < target * median(values)
