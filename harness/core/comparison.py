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


@dataclass(frozen=True)
class RepeatedCase:
    """A case with several valid measurements, oldest first: a possible link between batches."""

    id: str
    artifact: str
    device: str
    threads: int
    measurements: tuple[Evidence, ...]


class Basis(str, Enum):
    """The way in which two latencies were compared, from the most to the least trustworthy."""

    BLOCKS = "block by block"
    REFERENCE = "through a reference"
    SEPARATE = "apart"

    def __str__(self) -> str:
        return self.value


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
    for the number of comparisons made at once. `reference` is the SHA-256 of the artifact that
    links two batches, if `basis` says that there is one.
    """

    pair: Pair
    latency: Estimate
    size: Estimate
    accuracy: Estimate | None
    verdict: Verdict = Verdict.UNKNOWN
    p: float | None = None
    basis: Basis = Basis.BLOCKS
    reference: str | None = None

    @property
    def compared(self) -> str:
        """The basis of the ratio of latencies, such as `through 1f2e3d4c5b6a`."""
        return f"through {self.reference[:12]}" if self.reference else str(self.basis)
