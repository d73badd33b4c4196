"""Two artifacts measured alike, side by side."""

from dataclasses import dataclass
from typing import Any

METRICS = {"latency": "latency_us", "size": "size_bytes", "accuracy": "accuracy", "memory": "peak_memory_bytes"}
"""What can be compared, and the column of `results` that holds it."""


@dataclass(frozen=True)
class Pair:
    """Two rows of `results` of one device, tool, protocol and thread count."""

    baseline: dict[str, Any]
    candidate: dict[str, Any]


@dataclass(frozen=True)
class Ratio:
    """Candidate over baseline; `low` and `high` bound it where both have an interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What a pair says: ratios of latency and size, and the difference of accuracy in shares of 1."""

    pair: Pair
    latency: Ratio
    size: Ratio
    accuracy: float | None
