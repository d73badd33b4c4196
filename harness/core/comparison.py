"""A comparison of two artifacts that were measured alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

ResultRow: TypeAlias = Mapping[str, Any]
"""A row of the view `results`: its values by column name."""

METRICS = {
    "latency": "latency_us",
    "size": "size_bytes",
    "accuracy": "accuracy",
    "memory": "peak_memory_bytes",
}
"""The metrics that can be compared, and the column of `results` that holds each."""


@dataclass(frozen=True)
class Estimate:
    """A ratio (candidate over baseline) or a difference (candidate minus baseline).

    `low` and `high` bound its 95 % interval; `p` is two-sided, for no change at all.
    `smallest_change`, a share of 1, is the smallest change in either direction that these data
    would have shown with 90 % probability. `error` is the standard error, of a ratio that of its
    logarithm. A value that the data do not determine is None.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    smallest_change: float | None = None
    samples: int = 0
    error: float | None = None


@dataclass(frozen=True)
class Evidence:
    """The data behind a measurement: the average of each counted run, and the device's facts.

    `by_block` holds the averages of runs that have a slot in a batch, by batch and block.
    """

    averages_us: tuple[float, ...]
    by_block: Mapping[tuple[str, int], float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    harness_version: str = ""


class Verdict(str, Enum):
    """A judgement of a change in latency, which allows for the number of comparisons made."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference found"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Pair:
    """Two rows of `results` for one device and thread count.

    `differences` names, in words, whatever else differs between them.
    """

    baseline: ResultRow
    candidate: ResultRow
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The estimates for a pair: ratios of latency and size, and the difference of accuracy.

    The accuracy's difference is in shares of 1. `p` is that of the latency's ratio, adjusted
    for the number of comparisons made at once.
    """

    pair: Pair
    latency: Estimate
    size: Estimate
    accuracy: Estimate | None
    verdict: Verdict = Verdict.UNKNOWN
    p: float | None = None
