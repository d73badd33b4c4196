"""Latencies that others have published, for comparison."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from harness.core.bench import MAX_THREADS, STRICT


@dataclass(frozen=True)
class PublishedLatency:
    """A latency as its source reports it.

    `dated` is the day of the benchmark, or that of the publication if the former is unknown.
    `accuracy` is a share of 1, on the data set that the source names.
    """

    model: Annotated[str, MinLen(1), MaxLen(200)]
    precision: Literal["float32", "float16", "int8", "binary"]
    device: Annotated[str, MinLen(1), MaxLen(200)]
    threads: Annotated[int, Ge(1), Le(MAX_THREADS)]
    latency_ms: Annotated[float, Gt(0)]
    source: Annotated[str, MinLen(1), MaxLen(500)]
    dated: date
    accuracy: Annotated[float, Ge(0), Le(1)] | None = None
    size_bytes: Annotated[int, Gt(0), Lt(2**63)] | None = None
    __pydantic_config__ = STRICT
