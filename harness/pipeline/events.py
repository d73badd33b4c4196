"""What happens in a bench of many devices, as its lanes tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.bench import Case, Measurement, Process, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed


@dataclass(frozen=True)
class Told:
    """A device's lane says what it does, or waits for."""

    device: Device
    text: str


@dataclass(frozen=True)
class DevicePlanned:
    """The device answered: `new` cases are measured now, `done` have been. `pushed_bytes` so far: its tool."""

    device: Device
    facts: Mapping[str, str]
    new: tuple[Case, ...]
    done: tuple[Case, ...]


@dataclass(frozen=True)
class RunEnded:
    """A process of a case has ended; `run` is None where its output could not be read."""

    device: Device
    case: Case
    process: Process
    run: Run | None


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
class SetAside:
    """The device can't be used now; `left` cases wait for a later bench (None where it never told which)."""

    device: Device
    failure: CaseFailed
    left: int | None


@dataclass(frozen=True)
class LaneEnded:
    device: Device
    pushed_bytes: int


FleetEvent: TypeAlias = Told | DevicePlanned | RunEnded | CaseMeasured | CaseGivenUp | SetAside | LaneEnded
