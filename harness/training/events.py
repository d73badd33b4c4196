"""What a running sweep tells, as it happens; first Ready, and for every trial in the end a Finished or a Failed."""

from dataclasses import dataclass
from typing import TypeAlias

from harness.core.sweep import Epoch, Failure, Timings, Trial, TrialOutcome


@dataclass(frozen=True)
class Ready:
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


TrialEvent: TypeAlias = Started | EpochEnded | Finished | Failed
Event: TypeAlias = Ready | TrialEvent
