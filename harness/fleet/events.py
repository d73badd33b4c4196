"""What happens in a bench of many devices, as its lanes emit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.bench import Case, Measurement, Process, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed
from harness.core.observations import AnswerCheck, Batch, Canary, OperatorTime


@dataclass(frozen=True)
class LaneMessage:
    """A device's lane says what it does, or waits for."""

    device: Device
    text: str


@dataclass(frozen=True)
class DevicePlanned:
    """The device answered: `new` cases are measured now, `done` have been. `pushed_bytes` so far: its tool."""

    device: Device
    facts: Mapping[str, str]
    to_measure: tuple[Case, ...]
    measured: tuple[Case, ...]


@dataclass(frozen=True)
class RunEnded:
    """A process of a case has ended; `run` is None where its output could not be read.

    `progress` is how many cases' worth of its batch are done.
    """

    device: Device
    case: Case
    process: Process
    run: Run | None
    progress: float


@dataclass(frozen=True)
class BatchStarted:
    device: Device
    batch: Batch


@dataclass(frozen=True)
class BatchEnded:
    device: Device
    batch: Batch


@dataclass(frozen=True)
class CanaryMeasured:
    device: Device
    canary: Canary


@dataclass(frozen=True)
class AnswerChecked:
    device: Device
    answer: AnswerCheck


@dataclass(frozen=True)
class CaseProfiled:
    device: Device
    case: Case
    operators: tuple[OperatorTime, ...]


@dataclass(frozen=True)
class CaseMeasured:
    device: Device
    case: Case
    measurement: Measurement


@dataclass(frozen=True)
class CaseGivenUp:
    device: Device
    case: Case
    failure: CaseFailed


@dataclass(frozen=True)
class ProfileFailed:
    """The profile that was asked for can't be had; what was measured stands."""

    device: Device
    failure: CaseFailed


@dataclass(frozen=True)
class DeviceSetAside:
    """The device can't be used now; `left` cases wait for a later bench (None where it never told which)."""

    device: Device
    failure: CaseFailed
    cases_left: int | None


@dataclass(frozen=True)
class LaneEnded:
    device: Device
    pushed_bytes: int


FleetEvent: TypeAlias = (
    LaneMessage
    | DevicePlanned
    | BatchStarted
    | CanaryMeasured
    | AnswerChecked
    | RunEnded
    | CaseMeasured
    | CaseGivenUp
    | BatchEnded
    | CaseProfiled
    | ProfileFailed
    | DeviceSetAside
    | LaneEnded
)
