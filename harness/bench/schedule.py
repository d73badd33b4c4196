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
    do not. At least `processes` must count, and at most `process_limit`. In between, a target and a
    limit, in the unit of `counted`, decide (see `_is_open`). The disturbed ones included, there are
    at most 1.5 times as many.
    """
    if len(counted) + disturbed >= MAX_TRIES * protocol.process_limit:
        return False
    if len(counted) < protocol.processes:
        return True
    return len(counted) < protocol.process_limit and _is_open(protocol, counted, limit=limit)


def _is_open(protocol: Protocol, counted: Sequence[float], limit: float | None) -> bool:
    """Return whether the 95 % interval of the median leaves a question open.

    With a target, it must be narrower than that. With a limit, it must also lie on one side of it;
    above it, its width does not matter, as nobody wants the case. If measuring ends on a limit, a
    case exactly at it is called faster, or slower, in up to 12 of 100. One that is a percent off is
    called wrongly in up to 3, as `tests/bench/test_proofs.py` shows.
    """
    if limit is None:
        return is_wide(protocol, counted)
    interval = median_interval(counted)
    if interval is None or interval[0] <= limit <= interval[1]:
        return True
    return interval[1] < limit and is_wide(protocol, counted)


def is_wide(protocol: Protocol, counted: Sequence[float]) -> bool:
    """Return True if there is a target and the 95 % interval of the median is not narrower."""
    return protocol.target > 0 and not is_precise(counted, protocol.target)


def is_precise(values: Sequence[float], target: float) -> bool:
    """Return True if the median's 95 % interval, as a share of the median, is below the target."""
    interval = median_interval(values)
    return interval is not None and interval[1] - interval[0] < target * median(values)
