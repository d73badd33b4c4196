"""Events of a running sweep, in the order in which they happen.

The first is ClusterReady. Each trial ends with a Finished, a Failed or a Stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.core.sweep import Epoch, Failure, Timings, Trial, TrialOutcome


@dataclass(frozen=True)
class ClusterReady:
    """Ray is up and some node has the resources of a trial: the request is accepted.

    `addresses` are those of its nodes; none if nothing is to train.
    """

    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Quiet:
    """Nothing has happened for a moment, in which the reader of the events can do other work."""


@dataclass(frozen=True)
class Started:
    """A worker has begun to train the trial; `node_id` is what Ray calls its node."""

    trial: Trial
    node: str
    pid: int
    node_id: str = ""


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
    """The trial failed; `timings`, `node` and `processors` are unknown if its worker died."""

    trial: Trial
    failure: Failure
    timings: Timings | None = None
    node: str | None = None
    processors: str | None = None


@dataclass(frozen=True)
class NodeLost:
    """Ray lost the node that trained the trial, or something killed the worker there."""

    trial: Trial
    failure: Failure


@dataclass(frozen=True)
class Retried:
    """The trial is tried again after the others: alone on a node if it ran out of memory."""

    trial: Trial
    failure: Failure


@dataclass(frozen=True)
class Stopped:
    """The trial was ended early, through no fault of its own; `cause` says why."""

    trial: Trial
    cause: Failure


@dataclass(frozen=True)
class PointStarted:
    """The search tries a point of its space with these trials."""

    point: Mapping[str, Any]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A snapshot of the training named `key`, from which a later process can continue."""

    key: str
    content: bytes = field(repr=False)


TrialEvent: TypeAlias = Started | EpochEnded | Finished | Failed | Retried | Stopped
UnitEvent: TypeAlias = TrialEvent | Checkpoint
SweepEvent: TypeAlias = ClusterReady | Quiet | PointStarted | TrialEvent
Event: TypeAlias = SweepEvent | Checkpoint
