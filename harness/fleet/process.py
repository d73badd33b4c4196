"""One process of the tool on a device, from its model file to its numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.cores import format_cpus, list_online
from harness.bench.profile import PROFILE_FLAGS, read_profile
from harness.bench.quality import describe_disturbance
from harness.bench.sensors import (
    Sensor,
    choose_cpus,
    find_cpus_off,
    find_sensors,
    select_power_sensors,
)
from harness.bench.summary import summarise
from harness.bench.tools import make_arguments, read_output
from harness.bench.watch import format_header, read_idle_power_uw, summarise_sensors
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
_POWER_INTERVAL_S = 0.25  # a run of a second still gives a few samples of power


@dataclass(frozen=True)
class DeviceSession:
    """A device while it is ours, with its tool installed.

    `find_values` returns the file on this machine that has an input's values, by its SHA-256.
    """

    device: Device
    transport: Transport
    device_tool: DeviceTool
    facts: Mapping[str, str]
    turn: Turn
    find_values: Callable[[str], Path] = Path

    def cpus(self, threads: int) -> tuple[int, ...]:
        """Return the cores to pin a tool with so many threads to; none means any core.

        Raises CaseFailed: cores_off, if the entry names a core that is off.
        """
        check_cpus(self.device, self.facts)
        return choose_cpus(self.device.cpus, self.facts, threads=threads)

    def sensors(self, cpus: tuple[int, ...] = ()) -> tuple[Sensor, ...]:
        """Return the sensors to watch while a tool runs on these cores."""
        return find_sensors(self.facts, cpus, power_command=self.device.power)


def check_cpus(device: Device, facts: Mapping[str, str]) -> None:
    """Raise CaseFailed, cores_off, if the device's entry names cores that are off."""
    cpus = device.cpus if isinstance(device.cpus, tuple) else ()
    if off := find_cpus_off(cpus, facts):
        message = (
            f"device {device.id}: its entry names cores {format_cpus(off)}, which are off or "
            f"missing: set `cpus` to some of {format_cpus(list_online(facts))}."
        )
        raise CaseFailed(Reason.CORES_OFF, message)


@dataclass(frozen=True)
class FinishedProcess:
    """A process that has ended, and the number of others who want the device."""

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
    """Run one process of the tool for a case.

    `file` is the artifact on this machine; `extra` are further flags. Raises CaseFailed.
    """
    started_at = now()
    model = ModelFile(
        case.artifact, session.transport.path_of(case.artifact, f"{case.artifact}.tflite")
    )
    value_files = _push_values(case, session)
    argv = [
        *session.device_tool.argv,
        *make_arguments(case.protocol, model.path, inputs=case.inputs, value_files=value_files),
        *extra,
    ]
    sensors = session.sensors(case.cpus)
    result = run_watched(
        session,
        argv,
        timeout_s=_timeout_of(case, session),
        model=model,
        file=file,
        cpus=case.cpus,
        sensors=sensors,
        keep=tuple(value_files),
    )
    process = Process(
        number,
        started_at,
        seconds=result.seconds,
        exit_code=result.exit_code,
        stdout=_shorten(result.stdout),
        stderr=_shorten(result.stderr),
        watch=format_header(sensors) + result.watch,
        artifact_sha256=result.model_sha256,
        slot=slot,
    )
    return FinishedProcess(process, result.others_waiting)


def _push_values(case: Case, session: DeviceSession) -> dict[str, str]:
    """Return the paths on the device of the files with the inputs' values, by SHA-256."""
    return {
        entry.values: session.transport.push(
            session.find_values(entry.values), entry.values, name="values"
        )
        for entry in case.inputs
        if entry.values
    }


def profile_operators(case: Case, session: DeviceSession, file: Path) -> tuple[OperatorTime, ...]:
    """Measure where an artifact's time goes: one process of the tool that times each operator.

    Raises CaseFailed if the tool fails or prints no profile.
    """
    process = run_process(case, session, file=file, number=1, extra=PROFILE_FLAGS).process
    read_output(case.protocol, process.exit_code, stdout=process.stdout, stderr=process.stderr)
    return read_profile(process.stdout)


def _timeout_of(case: Case, session: DeviceSession) -> float:
    return session.device.timeout_s or case.protocol.timeout_s


def run_watched(
    session: DeviceSession,
    argv: Sequence[str],
    timeout_s: float,
    model: ModelFile,
    file: Path,
    cpus: Sequence[int] = (),
    sensors: Sequence[Sensor] | None = None,
    keep: Sequence[str] = (),
) -> RunResult:
    """Run a command, and watch the sensors.

    `file` is sent once if the device lacks the model or has a damaged one; files whose hashes are
    in `keep` stay. Raises CaseFailed.
    """
    turn = replace(
        session.turn, seconds=session.turn.seconds + file.stat().st_size // SLOWEST_BYTES_PER_S
    )
    interval_s = _POWER_INTERVAL_S if select_power_sensors(sensors or ()) else WATCH_INTERVAL_S
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
            _send_model(session, file, sha256=model.sha256, keep=keep)
    message = (
        f"artifact {model.sha256[:12]}… does not stay intact on {session.device.id}: "
        "check whether another program changes its files or fills its disk."
    )
    raise CaseFailed(Reason.HASH_MISMATCH, message)


def _send_model(session: DeviceSession, file: Path, sha256: str, keep: Sequence[str]) -> None:
    """Send a model file; if no space is left, remove all other models and send it again."""
    transport = session.transport
    for limit_bytes in (session.device.cache_mb * 1_000_000, 0):
        try:
            transport.send(
                file,
                sha256,
                name=f"{sha256}.tflite",
                limit_bytes=limit_bytes,
                keep=(session.device_tool.tool.sha256, *keep),
            )
            return
        except CaseFailed as failure:
            if failure.reason is not Reason.NO_SPACE or limit_bytes == 0:
                raise


def measure_idle_power(session: DeviceSession) -> float | None:
    """Return the device's power in microwatts while nothing runs, or None without a sensor."""
    if not (sensors := select_power_sensors(session.sensors())):
        return None
    sources = [sensor.source for sensor in sensors]
    result = session.transport.run(
        ["sleep", f"{_IDLE_S}"],
        _IDLE_TIMEOUT_S,
        turn=session.turn,
        watch=sources,
        interval_s=_POWER_INTERVAL_S,
    )
    return read_idle_power_uw(format_header(sensors) + result.watch)


def read_run(case: Case, process: Process, earlier: Sequence[Run] = ()) -> Run:
    """Parse the output of a process.

    The `earlier` runs of the case show the usual clock. Raises CaseFailed if there are no numbers.
    """
    log = read_output(
        case.protocol, process.exit_code, stdout=process.stdout, stderr=process.stderr
    )
    readings = summarise_sensors(process.watch, log.inference.count * log.inference.avg_us / 1e6)
    clocks_khz = [
        run.sensors.frequency_khz for run in earlier if run.sensors.frequency_khz is not None
    ]
    return Run(
        process,
        log,
        sensors=readings,
        disturbed=describe_disturbance(
            readings, case.protocol.gates, usual_khz=max(clocks_khz, default=None)
        ),
    )


def read_runs(case: Case, processes: Sequence[Process]) -> list[Run]:
    """Parse the outputs of processes. Raises CaseFailed if one has no numbers."""
    runs: list[Run] = []
    for process in processes:
        runs.append(read_run(case, process, earlier=runs))
    return runs


def read_usable_runs(case: Case, processes: Sequence[Process]) -> list[Run]:
    """Parse the outputs of processes up to one that is missing or has no numbers."""
    runs: list[Run] = []
    for process in processes:
        if process.number != len(runs) + 1:
            break
        try:
            runs.append(read_run(case, process, earlier=runs))
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
    """Summarise all runs of a case. Raises CaseFailed if a run used another file."""
    if others := {run.process.artifact_sha256 for run in runs} - {case.artifact}:
        message = (
            f"{case.device} ran the file {others.pop()[:12]}… "
            f"instead of artifact {case.artifact[:12]}…; run the bench again."
        )
        raise CaseFailed(Reason.HASH_MISMATCH, message)
    summary = summarise(case, runs, idle_uw=idle_uw, circumstances=circumstances)
    return Measurement(
        case, case.artifact, runs=tuple(runs), summary=summary, facts=dict(facts), measured_at=now()
    )


def _shorten(log: str) -> str:
    """Keep both ends of a log: a broken tool may print without end."""
    if len(log) <= _LOG_CHARACTERS:
        return log
    half = _LOG_CHARACTERS // 2
    return f"{log[:half]}\n… {len(log) - 2 * half} characters left out …\n{log[-half:]}"
