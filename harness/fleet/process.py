"""One process of the tool on a device: its artifact there, its output, its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.profile import profile_arguments, read_profile
from harness.bench.quality import describe_disturbance
from harness.bench.sensors import Sensor, affinity, power_sensors, sensors_of
from harness.bench.summary import summarise
from harness.bench.tools import arguments, read
from harness.bench.watch import header, idle_power_uw, watched
from harness.core.bench import BatchSlot, Case, Measurement, Process, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed, Reason
from harness.core.observations import OperatorTime
from harness.core.quality import Warning
from harness.devices import (
    SLOWEST_BYTES_PER_S,
    WATCH_INTERVAL_S,
    FileAbsent,
    ModelFile,
    RunResult,
    Transport,
    Turn,
)
from harness.fleet.device_tool import DeviceTool
from harness.store.database import now

_LOG_CHARACTERS = 1_000_000
_IDLE_S = 5
_IDLE_TIMEOUT_S = 60.0
_WATCH_POWER_S = 0.25  # an average of power needs some samples in a run of a second


@dataclass(frozen=True)
class DeviceSession:
    """A device that is ours for now, with its tool on it."""

    device: Device
    transport: Transport
    device_tool: DeviceTool
    facts: Mapping[str, str]
    turn: Turn

    def cpus(self, threads: int) -> tuple[int, ...]:
        """The cores that a tool with so many threads is kept on; none: wherever the system puts it."""
        return affinity(self.device.cpus, self.facts, threads=threads)

    def sensors(self, cpus: tuple[int, ...] = ()) -> tuple[Sensor, ...]:
        """What tells of the device while a tool runs on those cores."""
        return sensors_of(self.facts, cpus, power_command=self.device.power)


@dataclass(frozen=True)
class FinishedProcess:
    """A process that has ended, and how many others want the device."""

    process: Process
    others_waiting: int


def run_process(
    case: Case,
    session: DeviceSession,
    file: Path,
    number: int,
    slot: BatchSlot | None = None,
    extra: Sequence[str] = (),
) -> FinishedProcess:
    """`file` is the artifact here; `extra` are further flags. Raises CaseFailed."""
    started_at = now()
    model = ModelFile(
        case.artifact, session.transport.path_of(case.artifact, f"{case.artifact}.tflite")
    )
    argv = [*session.device_tool.argv, *arguments(case.protocol, model.path), *extra]
    sensors = session.sensors(case.cpus)
    completed = run_watched(
        session,
        argv,
        timeout_s=_timeout_s(case, session),
        model=model,
        file=file,
        cpus=case.cpus,
        sensors=sensors,
    )
    process = Process(
        number,
        started_at,
        seconds=completed.seconds,
        exit_code=completed.exit_code,
        stdout=_shortened(completed.stdout),
        stderr=_shortened(completed.stderr),
        watch=header(sensors) + completed.watch,
        artifact_sha256=completed.model_sha256,
        slot=slot,
    )
    return FinishedProcess(process, completed.others_waiting)


def profile_operators(case: Case, session: DeviceSession, file: Path) -> tuple[OperatorTime, ...]:
    """Measure where an artifact's time goes: one process of the tool that times each operator.

    Raises CaseFailed where the tool fails, or prints no profile.
    """
    process = run_process(case, session, file=file, number=1, extra=profile_arguments()).process
    read(case.protocol, process.exit_code, stdout=process.stdout, stderr=process.stderr)
    return read_profile(process.stdout)


def _timeout_s(case: Case, session: DeviceSession) -> float:
    return session.device.timeout_s or case.protocol.timeout_s


def run_watched(
    session: DeviceSession,
    argv: Sequence[str],
    timeout_s: float,
    model: ModelFile,
    file: Path,
    cpus: Sequence[int] = (),
    sensors: Sequence[Sensor] | None = None,
) -> RunResult:
    """`model` is sent where the device misses it, or has another under its name: once. Raises CaseFailed."""
    turn = replace(
        session.turn, seconds=session.turn.seconds + file.stat().st_size // SLOWEST_BYTES_PER_S
    )
    interval_s = _WATCH_POWER_S if power_sensors(sensors or ()) else WATCH_INTERVAL_S
    sources = None if sensors is None else [sensor.source for sensor in sensors]
    for _ in range(2):
        try:
            return session.transport.run(
                argv,
                timeout_s,
                model=model,
                cpus=cpus,
                turn=turn,
                watch=sources,
                interval_s=interval_s,
            )
        except FileAbsent:
            _send(session, file, sha256=model.sha256)
    message = (
        f"{model.sha256[:12]}… does not stay on {session.device.id}: something there changes it; "
        "see what fills its disk."
    )
    raise CaseFailed(Reason.HASH_MISMATCH, message)


def _send(session: DeviceSession, file: Path, sha256: str) -> None:
    """Room is made once where there is none."""
    transport = session.transport
    for limit_bytes in (session.device.cache_mb * 1_000_000, 0):
        try:
            transport.send(
                file,
                sha256,
                name=f"{sha256}.tflite",
                limit_bytes=limit_bytes,
                keep=(session.device_tool.tool.sha256,),
            )
            return
        except CaseFailed as failure:
            if failure.reason is not Reason.NO_SPACE or limit_bytes == 0:
                raise


def measure_idle_power(session: DeviceSession) -> float | None:
    """Microwatts of the device while nothing runs; None where it can't tell."""
    if not (sensors := power_sensors(session.sensors())):
        return None
    sources = [sensor.source for sensor in sensors]
    idle = ["sleep", f"{_IDLE_S}"]
    completed = session.transport.run(
        idle,
        _IDLE_TIMEOUT_S,
        turn=session.turn,
        watch=sources,
        interval_s=_WATCH_POWER_S,
    )
    return idle_power_uw(header(sensors) + completed.watch)


def read_run(case: Case, process: Process, before: Sequence[Run] = ()) -> Run:
    """`before` are the case's earlier runs, whose clock is the usual one. Raises CaseFailed where it tells nothing."""
    log = read(case.protocol, process.exit_code, stdout=process.stdout, stderr=process.stderr)
    seen = watched(process.watch, log.inference.count * log.inference.avg_us / 1e6)
    clocks = [run.watched.frequency_khz for run in before if run.watched.frequency_khz is not None]
    return Run(
        process,
        log,
        watched=seen,
        disturbed=describe_disturbance(
            seen, case.protocol.gates, usual_khz=max(clocks, default=None)
        ),
    )


def read_runs(case: Case, processes: Sequence[Process]) -> list[Run]:
    """Raises CaseFailed where one of them tells no numbers."""
    runs: list[Run] = []
    for process in processes:
        runs.append(read_run(case, process, before=runs))
    return runs


def read_usable_runs(case: Case, processes: Sequence[Process]) -> list[Run]:
    """The first of them, up to one that is missing or tells no numbers."""
    runs: list[Run] = []
    for process in processes:
        if process.number != len(runs) + 1:
            break
        try:
            runs.append(read_run(case, process, before=runs))
        except CaseFailed:
            break
    return runs


def build_measurement(
    case: Case,
    runs: Sequence[Run],
    facts: Mapping[str, str],
    idle_uw: Mapping[str, float],
    circumstances: Sequence[Warning] = (),
) -> Measurement:
    """A measurement of all of a case's runs. Raises CaseFailed where not all ran the artifact itself."""
    strange = {run.process.artifact_sha256 for run in runs} - {case.artifact}
    if strange:
        raise CaseFailed(
            Reason.HASH_MISMATCH, f"{case.device} ran {strange.pop()[:12]}… instead; bench again."
        )
    summary = summarise(case, runs, idle_uw=idle_uw, circumstances=circumstances)
    return Measurement(
        case, case.artifact, runs=tuple(runs), summary=summary, facts=dict(facts), measured_at=now()
    )


def _shortened(printed: str) -> str:
    """Both ends of what was printed: a tool gone wrong prints without end."""
    if len(printed) <= _LOG_CHARACTERS:
        return printed
    half = _LOG_CHARACTERS // 2
    return f"{printed[:half]}\n… {len(printed) - 2 * half} characters left out …\n{printed[-half:]}"
