"""The work of `harness bench`, and the measuring part of `harness submit sweep --bench`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.cli.session import Session, console
from harness.conversion.anatomy import anatomy
from harness.core.bench import MOST_THREADS, PROTOCOLS, Device, Protocol
from harness.core.errors import RequestError
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact
from harness.core.units import counted, show_us
from harness.pipeline.measure import Bench, CaseEvent, CaseGivenUp, CaseMeasured, RunEnded, measure, open_bench
from harness.pipeline.plan import CasePlan, plan_cases, split_cases
from harness.report.progress import Work, progress
from harness.report.tables import leaderboard, verdicts
from harness.spec.device_file import named, read_devices, this_machine
from harness.store.reading import results


def bench(
    models: Sequence[Path],
    sweep: str | None,
    devices: Sequence[Device],
    protocols: Sequence[Protocol],
    force: bool,
    dry_run: bool,
) -> int:
    """How many cases failed."""
    session = Session.here()
    artifacts = _artifacts(session, models, sweep, keep=not dry_run)
    if dry_run:
        show_cases(session, artifacts, 0, devices, protocols, force)
        return 0
    return bench_artifacts(session, artifacts, devices, protocols, force)


def chosen_devices(registry: Path, fleet: bool, ids: list[str], tags: list[str]) -> tuple[Device, ...]:
    """Raises RequestError where that is none."""
    if not fleet and not ids and not tags:
        return (this_machine(registry),)
    devices = read_devices(registry)
    enabled = [one for one in devices if one.enabled and (fleet or set(tags) & set(one.tags))]
    chosen = tuple(dict.fromkeys([*named(devices, ids), *enabled]))
    if not chosen:
        raise RequestError(
            f"{registry}: no enabled device" + (f" has the tag {' or '.join(tags)}." if tags else "; enable one.")
        )
    return chosen


def protocols_named(name: str, threads: str) -> tuple[Protocol, ...]:
    """Raises RequestError for a name or thread counts that are none."""
    if name not in PROTOCOLS:
        raise RequestError(f"--protocol {name}: is not known; known: {', '.join(PROTOCOLS)}.")
    counts = [int(count) if re.fullmatch(r"\s*[0-9]{1,4}\s*", count) else 0 for count in threads.split(",")]
    if not all(1 <= count <= MOST_THREADS for count in counts):
        raise RequestError(f"--threads {threads}: has to be whole numbers of 1 to {MOST_THREADS}, for example 1,4.")
    return tuple(replace(PROTOCOLS[name], threads=count) for count in dict.fromkeys(counts))


def _artifacts(session: Session, models: Sequence[Path], sweep: str | None, keep: bool) -> list[str]:
    """Raises RequestError where there are none. `keep` takes model files of the user's own into the workspace."""
    if models and sweep:
        raise RequestError("give model files or --sweep, not both.")
    if models:
        return [_own_model(session, file, keep) for file in models]
    if sweep is None:
        sweeps = session.trials.sweeps()
        raise RequestError(
            f"say what to bench: --sweep NAME or model files; sweeps here: {', '.join(sweeps) or 'none yet'}."
        )
    if not (artifacts := session.trials.of_sweep(sweep)):
        raise RequestError(
            f"sweep {sweep!r} has no finished trials here; sweeps: {', '.join(session.trials.sweeps()) or 'none yet'}."
        )
    return artifacts


def _own_model(session: Session, file: Path, keep: bool) -> str:
    try:
        content = file.read_bytes()
        artifact = Artifact(sha256_of(content), "tflite", len(content), anatomy(content))
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error
    except ValueError as error:
        raise RequestError(f"{file}: {error}; give a .tflite file.") from error
    if keep:
        session.files.save(content)
        session.trials.add_artifact(artifact, file.name)
    return artifact.sha256


def bench_artifacts(
    session: Session, artifacts: Sequence[str], devices: Sequence[Device], protocols: Sequence[Protocol], force: bool
) -> int:
    """Measures what is missing, shows every row of these artifacts, and returns how many cases failed."""
    out = console()
    benches = {device.id: open_bench(device, session.workspace) for device in devices}
    plan = _planned(session, artifacts, benches, protocols, force)
    out.print(_counts(plan))
    failed = _measure(session, plan, benches, out) if plan.new else 0
    show_results(session, artifacts, out)
    return failed


def _planned(
    session: Session, artifacts: Sequence[str], benches: Mapping[str, Bench], protocols: Sequence[Protocol], force: bool
) -> CasePlan:
    cases = plan_cases(artifacts, {id: bench.tool for id, bench in benches.items()}, protocols)
    return split_cases(cases, session.cases.measured(cases), force)


def _counts(plan: CasePlan, to_come: int = 0) -> str:
    later = f", {to_come} more once the new trials are done" if to_come else ""
    total = len(plan.new) + len(plan.done) + to_come
    return f"{counted(total, 'case')}: {len(plan.new)} to measure{later}, {len(plan.done)} already done."


def show_cases(
    session: Session,
    artifacts: Sequence[str],
    to_come: int,
    devices: Sequence[Device],
    protocols: Sequence[Protocol],
    force: bool = False,
) -> None:
    """What a bench would do; `to_come` artifacts are not made yet."""
    benches = {device.id: open_bench(device, session.workspace) for device in devices}
    plan = _planned(session, artifacts, benches, protocols, force)
    out = console()
    for case in plan.new:
        out.print(
            f"  to measure: {case.artifact[:12]} on {case.device}, "
            f"{counted(case.protocol.threads, 'thread')}, {case.protocol.name}"
        )
    out.print(_counts(plan, to_come * len(devices) * len(protocols)))


def _measure(session: Session, plan: CasePlan, benches: Mapping[str, Bench], out: Console) -> int:
    failed = 0
    with progress(out, "cases", len(plan.new)) as shown:
        for event in measure(plan.new, benches, session.files, session.cases):
            failed += isinstance(event, CaseGivenUp)
            _tell(shown, event)
    return failed


def _tell(shown: Work, event: CaseEvent) -> None:
    case = event.case
    name = f"{case.artifact[:12]} on {case.device}, {counted(case.protocol.threads, 'thread')}"
    match event:
        case RunEnded():
            shown.step(name, event.number, case.protocol.processes, show_us(event.run.log.inference.avg_us))
        case CaseMeasured():
            shown.end(
                name, f"{name}: {show_us(event.measurement.summary.latency_us)}, {event.measurement.summary.quality}"
            )
        case CaseGivenUp():
            shown.end(name, f"{name}: failed ({event.failure.reason}): {event.failure}")


def show_results(session: Session, artifacts: Sequence[str], out: Console) -> None:
    rows = results(session.reader, artifacts)
    if rows:
        out.print()
        out.print(leaderboard(rows))
        for sentence in verdicts(rows):
            out.print(sentence)
