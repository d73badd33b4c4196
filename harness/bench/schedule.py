"""Decisions on which process runs next, and on when a case has enough of them.

The functions are pure, so that a killed bench continues exactly as it would have.
"""

from collections.abc import Sequence
from statistics import median
from typing import Literal

from harness.bench.statistics import median_interval
from harness.core.bench import Protocol
from harness.core.ids import content_id

MAX_TRIES = 1.5
"""The most processes, as a multiple of `process_limit`: a device may be disturbed endlessly."""


def order_block(
    batch: str, block: int, cases: Sequence[str], ordering: Literal["interleaved", "sequential"]
) -> list[str]:
    """Return the ids of the cases to run in this block, out of those that need another process.

    Interleaved, each case runs once. The order looks random but is a function of the ids, so a case
    that has enough leaves the order of the others unchanged. Sequential, the first case runs alone
    until it has enough.
    """
    if ordering == "sequential":
        return list(cases[:1])
    return sorted(cases, key=lambda case: content_id([batch, block, case]))


def needs_another_process(
    protocol: Protocol, counted: Sequence[float], disturbed: int, limit: float | None = None
) -> bool:
    """Return True if a case must run once more.

    `counted` are the averages of the processes that count; `disturbed` is the number of those that
    do not. At least `processes` must count. With a target, measuring continues until the 95 %
    interval of the median is narrower than it, or until `process_limit` count. With a limit, it
    also continues while the interval contains the limit, in the unit of `counted`. The disturbed
    ones included, there are at most 1.5 times as many.
    """
    if len(counted) + disturbed >= MAX_TRIES * protocol.process_limit:
        return False
    if len(counted) < protocol.processes:
        return True
    return len(counted) < protocol.process_limit and (
        is_wide(protocol, counted) or (limit is not None and is_undecided(counted, limit))
    )


def is_wide(protocol: Protocol, counted: Sequence[float]) -> bool:
    """Return True if there is a target and the 95 % interval of the median is not narrower."""
    return protocol.target > 0 and not is_precise(counted, protocol.target)


def is_undecided(values: Sequence[float], limit: float) -> bool:
    """Return True unless the median's 95 % interval lies below the limit or above it.

    If measuring ends on it, a case exactly at its limit is called faster in up to 12 of 100. One
    that is a percent slower is in up to 3, as `tests/bench/test_proofs.py` shows.
    """
    interval = median_interval(values)
    return interval is None or interval[0] <= limit <= interval[1]


def is_precise(values: Sequence[float], target: float) -> bool:
    """Return True if the median's 95 % interval, as a share of the median, is below the target."""
    interval = median_interval(values)
    return interval is not None and interval[1] - interval[0] < target * median(values)
