"""What a running sweep tells, as it happens.

First Ready, and for every trial in the end a Finished, a Failed or a Stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.core.sweep import Epoch, Failure, Timings, Trial, TrialOutcome


@dataclass(frozen=True)
class ClusterReady:
    """Ray is up, and some node has what a trial asks for: from here on the request is under way."""


@dataclass(frozen=True)
class Started:
    trial: Trial
    node: str
    pid: int


@dataclass(frozen=True)
class EpochEnded:
    trial: Trial
    epoch: Epoch


@dataclass(frozen=True)
class Finished:
    trial: Trial
    outcome: TrialOutcome


@dataclass(frozen=True)
class Failed:
    """`timings` and `node` are unknown where the worker died."""

    trial: Trial
    failure: Failure
    timings: Timings | None = None
    node: str | None = None


@dataclass(frozen=True)
class Retried:
    """It ran out of memory, and is tried once more when the others are done, with nothing beside it."""

    trial: Trial
    failure: Failure


@dataclass(frozen=True)
class Stopped:
    """It was ended early: `why` is no fault of its own."""

    trial: Trial
    cause: Failure


@dataclass(frozen=True)
class PointStarted:
    """The search tries a point of its space, with these trials."""

    point: Mapping[str, Any]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the training that `key` names: what a later process goes on with."""

    key: str
    content: bytes = field(repr=False)


TrialEvent: TypeAlias = Started | EpochEnded | Finished | Failed | Retried | Stopped
UnitEvent: TypeAlias = TrialEvent | Checkpoint
Event: TypeAlias = ClusterReady | PointStarted | UnitEvent
