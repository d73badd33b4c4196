"""One case on one device: its artifact there, its processes one after the other, its numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.facts import read_facts, script
from harness.bench.summary import summarise
from harness.bench.tools import arguments, read
from harness.core.bench import Case, Measurement, Process, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed, Reason
from harness.devices import Completed, FileAbsent, Graph, Transport, Turn
from harness.pipeline.tooling import Ready
from harness.store.database import now

_SLOWEST_BYTES_PER_S = 50_000
_LOG_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Station:
    """A device that is ours for now, with its tool on it."""

    device: Device
    transport: Transport
    ready: Ready
    facts: Mapping[str, str]
    turn: Turn


def facts_of(transport: Transport) -> dict[str, str]:
    return read_facts(transport.ask(script()).stdout)


def measure_case(
    case: Case,
    station: Station,
    source: Callable[[str], Path],
    before: Sequence[Process],
    ended: Callable[[Process, Run | None, int], None],
) -> Measurement:
    """Measures what is missing of a case. `source` gives the artifact's file here, its content checked.

    `before` are processes of the same case that ended in an earlier bench; those that can be read count.

    `ended` hears of each process, at once: what it printed, its numbers, how many others want the device.
    Raises CaseFailed.
    """
    file = source(case.artifact)
    runs = readable(case, before)
    for number in range(len(runs) + 1, case.protocol.processes + 1):
        started_at = now()
        completed = _run(case, station, file)
        process = _process(number, started_at, completed)
        try:
            runs.append(read_run(case, process))
        except CaseFailed:
            ended(process, None, completed.others_waiting)
            raise
        ended(process, runs[-1], completed.others_waiting)
    return measured(case, runs, station.facts)


def measured(case: Case, runs: Sequence[Run], facts: Mapping[str, str]) -> Measurement:
    """A measurement of all of a case's runs. Raises CaseFailed where not all ran the artifact itself."""
    strange = {run.process.artifact_sha256 for run in runs} - {case.artifact}
    if strange:
        raise CaseFailed(Reason.HASH_MISMATCH, f"{case.device} ran {strange.pop()[:12]}… instead; bench again.")
    return Measurement(case, case.artifact, tuple(runs), summarise(runs), dict(facts), now())


def readable(case: Case, processes: Sequence[Process]) -> list[Run]:
    """The first of them, up to one that is missing or tells no numbers."""
    runs: list[Run] = []
    for process in processes:
        if process.number != len(runs) + 1:
            break
        try:
            runs.append(read_run(case, process))
        except CaseFailed:
            break
    return runs


def read_run(case: Case, process: Process) -> Run:
    """Raises CaseFailed where it tells no numbers."""
    return Run(process, read(case.protocol, process.exit_code, process.stdout, process.stderr))


def _process(number: int, started_at: str, completed: Completed) -> Process:
    return Process(
        number,
        started_at,
        completed.seconds,
        completed.exit_code,
        _shortened(completed.stdout),
        _shortened(completed.stderr),
        max(completed.temperatures_c, default=None),
        completed.graph_sha256,
    )


def _shortened(printed: str) -> str:
    """Both ends of what was printed: a tool gone wrong prints without end."""
    if len(printed) <= _LOG_CHARACTERS:
        return printed
    half = _LOG_CHARACTERS // 2
    return f"{printed[:half]}\n… {len(printed) - 2 * half} characters left out …\n{printed[-half:]}"


def _run(case: Case, station: Station, file: Path) -> Completed:
    """The artifact is sent where the device misses it, or has another under its name: once."""
    transport, name = station.transport, f"{case.artifact}.tflite"
    graph = Graph(case.artifact, transport.path(case.artifact, name))
    argv = [*station.ready.argv, *arguments(case.protocol, graph.path)]
    timeout_s = station.device.timeout_s or case.protocol.timeout_s
    sending_s = file.stat().st_size // _SLOWEST_BYTES_PER_S
    turn = replace(station.turn, seconds=station.turn.seconds + sending_s)
    for _ in range(2):
        try:
            return transport.run(argv, timeout_s, graph, station.device.cpus, turn)
        except FileAbsent:
            _send(station, file, case.artifact, name)
    message = (
        f"{case.artifact[:12]}… does not stay on {case.device}: something there changes it; see what fills its disk."
    )
    raise CaseFailed(Reason.HASH_MISMATCH, message)


def _send(station: Station, file: Path, sha256: str, name: str) -> None:
    """Room is made once where there is none."""
    transport = station.transport
    for limit_bytes in (station.device.cache_mb * 1_000_000, 0):
        try:
            transport.send(file, sha256, name, limit_bytes, keep=(station.ready.tool.sha256,))
            return
        except CaseFailed as failure:
            if failure.reason is not Reason.NO_SPACE or limit_bytes == 0:
                raise
