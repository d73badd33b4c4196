"""Cases → measurements: each on its device, a failing one never taking another with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.bench.facts import FACTS
from harness.bench.summary import summarise
from harness.bench.tools import PYTHON_RUNNER, RUNNER_FILE, command, read
from harness.core.bench import Case, Device, Measurement, Run, Tool
from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of_file
from harness.devices import TRANSPORTS, Transport
from harness.store.artifacts import ArtifactFiles
from harness.store.cases import CaseRows
from harness.store.database import now
from harness.store.workspace import Workspace

_QUESTION_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Bench:
    """A device that is ready: its transport, and the tool that was pushed to it."""

    device: Device
    transport: Transport
    tool: Tool
    program: str


@dataclass(frozen=True)
class RunEnded:
    """`number` of the case's processes have ended, counted from 1."""

    case: Case
    number: int
    run: Run


@dataclass(frozen=True)
class CaseMeasured:
    case: Case
    measurement: Measurement


@dataclass(frozen=True)
class CaseGivenUp:
    case: Case
    failure: CaseFailed


CaseEvent: TypeAlias = RunEnded | CaseMeasured | CaseGivenUp


def open_bench(device: Device, workspace: Workspace) -> Bench:
    """Raises CaseFailed where the device can't be used."""
    transport = TRANSPORTS[device.kind](device, workspace.device_folder(device.id))
    sha256 = sha256_of_file(RUNNER_FILE)
    program = transport.push(RUNNER_FILE, sha256, RUNNER_FILE.name)
    answer = transport.run([*transport.python(), program, "--describe"], _QUESTION_TIMEOUT_S)
    if answer.exit_code != 0:
        message = (
            f"device {device.id}: its Python has no interpreter for .tflite files; "
            "pip install larq-compute-engine there."
        )
        raise CaseFailed(Reason.NO_INTERPRETER, message, answer.stdout + answer.stderr)
    return Bench(device, transport, Tool(PYTHON_RUNNER, sha256, answer.stdout.strip()), program)


def measure(
    cases: Sequence[Case], benches: Mapping[str, Bench], files: ArtifactFiles, rows: CaseRows
) -> Iterator[CaseEvent]:
    """Yields every end of a case after it is stored."""
    facts = {id: read_facts(bench.transport) for id, bench in benches.items()}
    for case in cases:
        bench = benches[case.device]
        try:
            runs: list[Run] = []
            for run in _runs(case, bench, files):
                runs.append(run)
                yield RunEnded(case, len(runs), run)
            measurement = Measurement(case, case.artifact, tuple(runs), summarise(runs), facts[case.device], now())
            rows.finish(bench.device.kind, measurement)
            yield CaseMeasured(case, measurement)
        except CaseFailed as failure:
            rows.fail(case, bench.device.kind, failure)
            yield CaseGivenUp(case, failure)


def _runs(case: Case, bench: Bench, files: ArtifactFiles) -> Iterator[Run]:
    """The hash is checked where the file lies here, and again where it lies on the device."""
    source = files.whole(case.artifact)
    graph = bench.transport.push(source, case.artifact, source.name)
    argv = command(bench.transport.python(), bench.program, case.protocol, graph)
    timeout_s = bench.device.timeout_s or case.protocol.timeout_s
    for number in range(1, case.protocol.processes + 1):
        started_at = now()
        ended = bench.transport.run(argv, timeout_s)
        log = read(case.protocol, ended.exit_code, ended.stdout, ended.stderr)
        yield Run(number, started_at, ended.seconds, ended.exit_code, ended.stdout, ended.stderr, log)


def read_facts(transport: Transport) -> dict[str, str]:
    """What the device says of itself; a fact that it does not tell is left out."""
    found = {}
    for fact in FACTS:
        answer = transport.run(list(fact.argv), _QUESTION_TIMEOUT_S)
        if answer.exit_code == 0 and (value := fact.parse(answer.stdout)) is not None:
            found[fact.name] = value
    return found
