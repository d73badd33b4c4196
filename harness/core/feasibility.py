"""Judge from measurements whether a point keeps the constraints of its search."""

from collections.abc import Iterable
from enum import Enum
from math import log1p
from typing import Final, NamedTuple

from harness.core.search import Constraint, LimitedMetric

_EXACT_METRICS: Final[tuple[LimitedMetric, ...]] = ("size", "memory")
"""One number each, without an interval: a file's size, and the highest peak of all runs."""

_LARGEST_UNDERRUN = 1 - 1e-9  # of the limit; all of it has no logarithm


class Feasibility(str, Enum):
    """The judgement of a constraint: kept, exceeded, or not yet known."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNDECIDED = "undecided"

    def __str__(self) -> str:
        return self.value


_FROM_BEST_TO_WORST = (Feasibility.FEASIBLE, Feasibility.UNDECIDED, Feasibility.INFEASIBLE)


class Interval(NamedTuple):
    """A measured value with its 95 % interval, in the unit of the metric's column.

    The ends are None as long as too few processes were measured for an interval.
    """

    low: float | None
    value: float
    high: float | None


def judge(constraint: Constraint, measured: Interval | None) -> Feasibility:
    """Return whether the interval lies below the constraint's limit, above it, or around it.

    The limit itself is allowed. None means that nothing has been measured yet.
    """
    if measured is None:
        return Feasibility.UNDECIDED
    low, value, high = measured
    if constraint.metric in _EXACT_METRICS:
        low = high = value
    if low is not None and low > constraint.at_most:
        return Feasibility.INFEASIBLE
    if high is not None and high <= constraint.at_most:
        return Feasibility.FEASIBLE
    return Feasibility.UNDECIDED


def combine(verdicts: Iterable[Feasibility]) -> Feasibility:
    """Return the verdict of the worst: of the devices of a tag, or of several constraints.

    One infeasible verdict decides, whatever the others will be. No verdicts are feasible.
    """
    return max(verdicts, key=_FROM_BEST_TO_WORST.index, default=Feasibility.FEASIBLE)


def compute_violation(constraint: Constraint, value: float) -> float:
    """Return the logarithm of the value's ratio to the limit: above 0 where it exceeds the limit.

    A sampler thus sees twice the limit alike, whether it is one of µs or of bytes. By `log1p`, the
    sign is right for the smallest difference. `value` is in the unit of `at_most`, at least 0.
    """
    excess = (value - constraint.at_most) / constraint.at_most
    return log1p(max(excess, -_LARGEST_UNDERRUN))
