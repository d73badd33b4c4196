"""What a running sweep tells, as it happens; every trial ends with a Finished or a Failed."""

from dataclasses import dataclass
from typing import TypeAlias

from harness.core.sweep import Epoch, Failure, Trial, TrialOutcome


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
    trial: Trial
    failure: Failure


Event: TypeAlias = Started | EpochEnded | Finished | Failed
