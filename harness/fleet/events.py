"""The events that the lanes of a bench emit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.bench import Case, Measurement, Process, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed
from harness.core.observations import AnswerCheck, Batch, Canary, OperatorTime


@dataclass(frozen=True)
class LaneMessage:
    """A sentence for people about what a lane does or waits for."""

    device: Device
    text: str


@dataclass(frozen=True)
class LaneConnecting:
    """A lane connects to its device, which usually takes a moment."""

    device: Device


@dataclass(frozen=True)
class DeviceReady:
    """A device is ours, and its tool is installed."""

    device: Device
    facts: Mapping[str, str]


@dataclass(frozen=True)
class DevicePlanned:
    """The cases of artifacts that were added: those to measure, and those that have been.

    A case that an earlier addition to the same bench will measure is in neither.
    """

    device: Device
    to_measure: tuple[Case, ...]
    measured: tuple[Case, ...]


@dataclass(frozen=True)
class LaneIdle:
    """A lane has done all that was added, and lets others use its device until there is more."""

    device: Device


@dataclass(frozen=True)
class RunEnded:
    """A process of a case has ended; `run` is None if its output could not be parsed.

    `progress` is the number of finished cases of its batch, with fractions for unfinished ones and
    without references.
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
    """A case has a measurement; a reference had one before, and was only repeated."""

    device: Device
    case: Case
    measurement: Measurement
    is_reference: bool = False


@dataclass(frozen=True)
class CaseGivenUp:
    """A case has failed. An earlier measurement of a reference stays valid."""

    device: Device
    case: Case
    failure: CaseFailed
    is_reference: bool = False


@dataclass(frozen=True)
class ProfileFailed:
    """A requested profile could not be taken; the measurement stays valid.

    `case` is None if the device can profile no case.
    """

    device: Device
    failure: CaseFailed
    case: Case | None = None


@dataclass(frozen=True)
class DeviceSetAside:
    """A device can't be used now, and `cases_left` wait for a later bench.

    `cases_left` is None if the device was lost before all of its cases were planned.
    """

    device: Device
    failure: CaseFailed
    cases_left: int | None


@dataclass(frozen=True)
class LaneEnded:
    device: Device
    pushed_bytes: int


FleetEvent: TypeAlias = (
    LaneMessage
    | LaneConnecting
    | DeviceReady
    | DevicePlanned
    | LaneIdle
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
