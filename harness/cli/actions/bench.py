"""The work of `harness bench`, and the measuring part of `harness submit sweep --bench`."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.cli.actions.session import Session, console
from harness.config.device_file import find_local_device, read_devices, select_devices
from harness.config.protocol import parse_protocol
from harness.conversion.anatomy import read_anatomy
from harness.core.bench import MAX_THREADS, Case, Protocol, Run, with_threads
from harness.core.device import Device
from harness.core.errors import Reason, RequestError
from harness.core.ids import sha256_of
from harness.core.quality import name_warnings
from harness.core.sweep import Artifact
from harness.core.units import count_noun, format_us
from harness.fleet.events import (
    AnswerChecked,
    CaseGivenUp,
    CaseMeasured,
    CaseProfiled,
    DevicePlanned,
    DeviceSetAside,
    FleetEvent,
    LaneEnded,
    LaneMessage,
    ProfileFailed,
    RunEnded,
)
from harness.fleet.plan import FleetRequest
from harness.fleet.run import FleetStores, bench_fleet
from harness.report.terminal.fleet import FleetProgress, show_fleet_progress
from harness.report.terminal.tables import (
    describe_best,
    describe_warnings,
    print_leaderboard,
)
from harness.store.reading import read_results


@dataclass(frozen=True)
class Chosen:
    """The devices to bench, and the whole registry, where their hubs and jump hosts are."""

    devices: tuple[Device, ...]
    registry: dict[str, Device]


@dataclass(frozen=True)
class Way:
    """How to measure: by `protocols`, with a device's own thread counts where it has some and none were asked for."""

    protocols: tuple[Protocol, ...]
    threads_asked: bool = False
    force: bool = False
    dry_run: bool = False
    wait_s: float = 3600.0
    profile: bool = False
    check_answers: bool = False

    def of(self, device: Device) -> tuple[Protocol, ...]:
        if self.threads_asked or device.threads is None:
            return self.protocols
        return with_threads(self.protocols[0], device.threads)


def bench(models: Sequence[Path], sweep: str | None, chosen: Chosen, way: Way) -> int:
    """How many cases and devices failed."""
    session = Session.here()
    return bench_artifacts(
        session,
        _artifacts(session, models, sweep=sweep, keep=not way.dry_run),
        chosen=chosen,
        way=way,
    )


def chosen_devices(registry: Path, fleet: bool, ids: list[str], tags: list[str]) -> Chosen:
    """Raises RequestError where that is none."""
    if not fleet and not ids and not tags:
        here = find_local_device(registry)
        return Chosen((here,), {here.id: here})
    devices = read_devices(registry)
    enabled = [one for one in devices if one.enabled and (fleet or set(tags) & set(one.tags))]
    chosen = tuple(dict.fromkeys([*select_devices(devices, ids), *enabled]))
    if not chosen:
        raise RequestError(
            f"{registry}: no enabled device"
            + (f" has the tag {' or '.join(tags)}." if tags else "; enable one.")
        )
    return Chosen(chosen, {device.id: device for device in devices})


def protocols_asked(words: str, threads: str) -> tuple[Protocol, ...]:
    """Raises RequestError for a protocol or thread counts that are none."""
    protocol = parse_protocol(words)
    counts = [
        int(count) if re.fullmatch(r"\s*[0-9]{1,4}\s*", count) else 0
        for count in threads.split(",")
    ]
    if not all(1 <= count <= MAX_THREADS for count in counts):
        raise RequestError(
            f"--threads {threads}: has to be whole numbers of 1 to {MAX_THREADS}, for example 1,4."
        )
    return with_threads(protocol, counts)


def _artifacts(
    session: Session, models: Sequence[Path], sweep: str | None, keep: bool
) -> list[str]:
    """Raises RequestError where there are none. `keep` takes model files of the user's own into the workspace."""
    if models and sweep:
        raise RequestError("give model files or --sweep, not both.")
    if models:
        return [_own_model(session, file, keep=keep) for file in models]
    if sweep is None:
        sweeps = session.trials.list_sweeps()
        raise RequestError(
            f"say what to bench: --sweep NAME or model files; sweeps here: {', '.join(sweeps) or 'none yet'}."
        )
    if not (artifacts := session.trials.get_sweep_artifacts(sweep)):
        raise RequestError(
            f"sweep {sweep!r} has no finished trials here; sweeps: {', '.join(session.trials.list_sweeps()) or 'none yet'}."
        )
    return artifacts


def _own_model(session: Session, file: Path, keep: bool) -> str:
    try:
        content = file.read_bytes()
        artifact = Artifact(
            sha256_of(content), "tflite", size_bytes=len(content), anatomy=read_anatomy(content)
        )
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error
    except ValueError as error:
        raise RequestError(f"{file}: {error}; give a .tflite file.") from error
    if keep:
        session.files.save(content)
        session.trials.add_artifact(artifact, file.name)
    return artifact.sha256


def bench_artifacts(
    session: Session, artifacts: Sequence[str], chosen: Chosen, way: Way, to_come: int = 0
) -> int:
    """Measures what is missing, shows every row of these artifacts, and returns how many cases and devices failed.

    `to_come` artifacts are not made yet: a dry run counts them.
    """
    out = console()
    protocols = {device.id: way.of(device) for device in chosen.devices}
    request = FleetRequest(
        tuple(artifacts),
        protocols,
        force=way.force,
        wait_s=way.wait_s,
        dry_run=way.dry_run,
        profile=way.profile,
        check_answers=way.check_answers,
    )
    told = _Told(
        out,
        to_come,
        protocols={id: len(found) for id, found in protocols.items()},
        dry_run=way.dry_run,
    )
    with show_fleet_progress(out, [device.id for device in chosen.devices]) as shown:
        for event in bench_fleet(
            chosen.devices, chosen.registry, request=request, stores=stores(session)
        ):
            told.hear(event, shown)
    for line in told.set_aside:
        print(line, file=sys.stderr)
    if not way.dry_run:
        show_results(session, artifacts, devices=[device.id for device in chosen.devices], out=out)
    return told.failed


def stores(session: Session) -> FleetStores:
    tools = session.tools.newest_by_name()
    return FleetStores(
        session.workspace,
        session.files,
        cases=session.cases,
        devices=session.devices,
        leases=session.leases,
        observations=session.observations,
        tools=tools,
    )


class _Told:
    """What the events of a bench come to: lines for people, and how much failed."""

    def __init__(
        self, out: Console, to_come: int, protocols: dict[str, int], dry_run: bool
    ) -> None:
        self._out = out
        self._to_come = to_come
        self._protocols = protocols
        self._dry_run = dry_run
        self.failed = 0
        self.set_aside: list[str] = []

    def hear(self, event: FleetEvent, shown: FleetProgress) -> None:
        id = event.device.id
        match event:
            case LaneMessage():
                shown.set_status(id, event.text)
            case DevicePlanned():
                self._plan(event, shown)
            case RunEnded(run=run) if run is not None:
                shown.update(
                    id,
                    _doing(event.case, run),
                    progress=event.progress,
                    temperature_c=run.sensors.temperature_c,
                )
            case CaseMeasured():
                summary = event.measurement.summary
                result = f"{format_us(summary.latency_us)}, {name_warnings(summary.warnings)}"
                shown.end_case(id, f"{case_name(event.case)}: {result}")
            case CaseGivenUp(failure=failure):
                self.failed += 1
                shown.end_case(id, f"{case_name(event.case)}: failed ({failure.reason}): {failure}")
            case AnswerChecked(answer=answer) if answer.message:
                shown.set_status(id, answer.message)
            case CaseProfiled():
                shown.set_status(
                    id,
                    f"{case_name(event.case)}: {count_noun(len(event.operators), 'operator')} profiled",
                )
            case ProfileFailed(failure=failure):
                self.failed += 1
                shown.set_status(id, f"not profiled ({failure.reason}): {failure}")
            case DeviceSetAside():
                self._set_aside(event, shown)
            case LaneEnded():
                shown.end_device(id)

    def _plan(self, event: DevicePlanned, shown: FleetProgress) -> None:
        shown.set_total(event.device.id, len(event.to_measure))
        if self._dry_run:
            for case in event.to_measure:
                self._out.print(
                    f"  to measure: {case_name(case)}, {case.protocol.name}", soft_wrap=True
                )
        to_come = self._to_come * self._protocols[event.device.id]
        later = f", {to_come} more once the new trials are done" if to_come else ""
        total = len(event.to_measure) + len(event.measured) + to_come
        counts = f"{len(event.to_measure)} to measure{later}, {len(event.measured)} already done"
        self._out.print(
            f"{event.device.id}: {count_noun(total, 'case')}, {counts}.", soft_wrap=True
        )

    def _set_aside(self, event: DeviceSetAside, shown: FleetProgress) -> None:
        self.failed += 1
        left = (
            "its cases wait"
            if event.cases_left is None
            else f"{count_noun(event.cases_left, 'case')} left"
        )
        line = f"set aside ({event.failure.reason}), {left} for a later bench: {event.failure}"
        shown.set_status(event.device.id, line)
        self.set_aside.append(f"{event.device.id}: {line}")
        if event.failure.reason is Reason.BUG and os.environ.get("HARNESS_VERBOSE"):
            print(event.failure.log, file=sys.stderr)


def _doing(case: Case, run: Run) -> str:
    disturbed = f", does not count: {run.disturbed}" if run.disturbed else ""
    return f"{case_name(case)}, process {run.process.number}{disturbed}"


def case_name(case: Case) -> str:
    return f"{case.artifact[:12]} on {case.device}, {count_noun(case.protocol.threads, 'thread')}"


def show_results(
    session: Session, artifacts: Sequence[str], devices: Sequence[str], out: Console
) -> None:
    rows = read_results(session.reader, artifacts=artifacts, devices=devices)
    if rows:
        out.print()
        print_leaderboard(out, rows)
        for sentence in (*describe_best(rows), *describe_warnings(rows)):
            out.print(sentence)
