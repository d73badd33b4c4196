"""Two artifacts measured alike, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

METRICS = {
    "latency": "latency_us",
    "size": "size_bytes",
    "accuracy": "accuracy",
    "memory": "peak_memory_bytes",
}
"""What can be compared, and the column of `results` that holds it."""


@dataclass(frozen=True)
class Estimate:
    """A ratio (candidate over baseline) or a difference (candidate minus baseline), with its 95 % interval.

    `p` is two-sided, for no change at all. `smallest_change`, a share of 1, is the least change in either direction
    that these data would have shown with 90 % probability. `error` is the standard error, of a ratio that of its log.
    What the data can't tell is None.
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
    """What stands behind a measurement: each counted run's average, in microseconds, and how the device was then.

    `by_block` holds those of the averages that have a place in the order of a batch, by batch and block.
    """

    averages_us: tuple[float, ...]
    by_block: Mapping[tuple[str, int], float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    harness_version: str = ""


class Verdict(str, Enum):
    """What the data say of a change, once it is accounted for how many comparisons were made."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference found"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Pair:
    """Two rows of `results` of one device and thread count, and in words what else differs between them."""

    baseline: dict[str, Any]
    candidate: dict[str, Any]
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What a pair says: ratios of latency and size, and the difference of accuracy in shares of 1.

    `p` is that of the latency's ratio, adjusted for the number of comparisons made at once.
    """

    pair: Pair
    latency: Estimate
    size: Estimate
    accuracy: Estimate | None
    verdict: Verdict = Verdict.UNKNOWN
    p: float | None = None
