"""`harness bench`, and the measuring part of `harness submit sweep --bench`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.app import app
from harness.cli.session import DEVICES_FILE, DevicesFile, Session, console
from harness.core.bench import PROTOCOLS, Device, Protocol, Tool
from harness.core.errors import CaseFailed, RequestError
from harness.core.sweep import Artifact
from harness.core.units import show_us
from harness.pipeline.measure import Bench, CaseEvent, CaseGivenUp, CaseMeasured, RunEnded, measure, open_bench
from harness.pipeline.plan import CasePlan, plan_cases, split_cases
from harness.report.progress import Work, progress
from harness.report.tables import leaderboard, verdicts
from harness.spec.device_file import named, read_devices, this_machine
from harness.store.reading import results


@app.command("bench")
def bench_command(
    models: Annotated[list[Path] | None, typer.Argument(metavar="[MODEL.tflite]...", help="Model files of your own.")] = None,
    sweep: Annotated[str | None, typer.Option(help="The artifacts of this sweep's finished trials.")] = None,
    fleet: Annotated[bool, typer.Option("--fleet", help="Every enabled device of the registry; without it, this machine.")] = False,
    device: Annotated[list[str] | None, typer.Option(help="A device by its id; may be given more than once.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Every enabled device with this tag; may be given more than once.")] = None,
    threads: Annotated[str, typer.Option(help="Thread counts, for example 1,4.")] = "1",
    protocol: Annotated[str, typer.Option(help=f"How to measure: {', '.join(PROTOCOLS)}.")] = "standard",
    force: Annotated[bool, typer.Option("--force", help="Measure again what has been measured.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be measured, and do nothing.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Benchmark artifacts on devices; what has been measured under the same protocol is not measured again."""
    wanted = chosen_devices(devices, fleet, device or [], tag or [])
    protocols = _protocols(protocol, threads)
    session = Session.here()
    artifacts = _artifacts(session, models or [], sweep, keep=not dry_run)
    if dry_run:
        show_cases(session, artifacts, 0, wanted, protocols, force)
        return
    if bench_artifacts(session, artifacts, wanted, protocols, force):
        raise typer.Exit(1)


def chosen_devices(registry: Path, fleet: bool, ids: list[str], tags: list[str]) -> tuple[Device, ...]:
    """Raises RequestError where that is none."""
    if not fleet and not ids and not tags:
        return (this_machine(registry),)
    devices = read_devices(registry)
    enabled = [one for one in devices if one.enabled and (fleet or set(tags) & set(one.tags))]
    chosen = tuple(dict.fromkeys([*named(devices, ids), *enabled]))
    if not chosen:
        raise RequestError(f"{registry}: no enabled device" + (f" has the tag {' or '.join(tags)}." if tags else "; enable one."))
    return chosen


def _protocols(name: str, threads: str) -> tuple[Protocol, ...]:
    if name not in PROTOCOLS:
        raise RequestError(f"--protocol {name}: is not known; known: {', '.join(PROTOCOLS)}.")
    counts = [int(count) if count.strip().isdigit() else 0 for count in threads.split(",")]
    if min(counts) < 1:
        raise RequestError(f"--threads {threads}: has to be whole numbers of 1 or more, for example 1,4.")
    return tuple(replace(PROTOCOLS[name], threads=count) for count in dict.fromkeys(counts))


def _artifacts(session: Session, models: Sequence[Path], sweep: str | None, keep: bool) -> list[str]:
    """Raises RequestError where there are none. `keep` takes model files of the user's own into the workspace."""
    if models and sweep:
        raise RequestError("give model files or --sweep, not both.")
    if models:
        return [_own_model(session, file, keep) for file in models]
    if sweep is None:
        sweeps = session.trials.sweeps()
        raise RequestError(f"say what to bench: --sweep NAME or model files; sweeps here: {', '.join(sweeps) or 'none yet'}.")
    if not (artifacts := session.trials.of_sweep(sweep)):
        raise RequestError(f"sweep {sweep!r} has no finished trials here; sweeps: {', '.join(session.trials.sweeps()) or 'none yet'}.")
    return artifacts


def _own_model(session: Session, file: Path, keep: bool) -> str:
    from harness.conversion.anatomy import anatomy
    from harness.core.ids import sha256_of

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


def bench_artifacts(session: Session, artifacts: Sequence[str], devices: Sequence[Device], protocols: Sequence[Protocol], force: bool) -> int:
    """Measures what is missing, shows every row of these artifacts, and returns how many cases failed."""
    out = console()
    benches = {device.id: open_bench(device, session.workspace) for device in devices}
    plan = _planned(session, artifacts, benches, protocols, force)
    out.print(_counts(plan))
    failed = _measure(session, plan, benches, out) if plan.new else 0
    show_results(session, artifacts, out)
    return failed


def _planned(session: Session, artifacts: Sequence[str], benches: Mapping[str, Bench], protocols: Sequence[Protocol], force: bool) -> CasePlan:
    cases = plan_cases(artifacts, {id: bench.tool for id, bench in benches.items()}, protocols)
    return split_cases(cases, session.cases.measured(cases), force)


def _counts(plan: CasePlan, to_come: int = 0) -> str:
    later = f", {to_come} more once the new trials are done" if to_come else ""
    return f"{len(plan.new) + len(plan.done) + to_come} cases: {len(plan.new)} to measure{later}, {len(plan.done)} already done."


def show_cases(
    session: Session, artifacts: Sequence[str], to_come: int, devices: Sequence[Device], protocols: Sequence[Protocol], force: bool = False
) -> None:
    """What a bench would do; `to_come` artifacts are not made yet."""
    benches = {device.id: open_bench(device, session.workspace) for device in devices}
    plan = _planned(session, artifacts, benches, protocols, force)
    out = console()
    for case in plan.new:
        out.print(f"  to measure: {case.artifact[:12]} on {case.device}, {case.protocol.threads} threads, {case.protocol.name}")
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
    name = f"{case.artifact[:12]} on {case.device}, {case.protocol.threads} thread{'s' if case.protocol.threads > 1 else ''}"
    match event:
        case RunEnded():
            shown.step(name, event.number, case.protocol.processes, show_us(event.run.log.inference.avg_us))
        case CaseMeasured():
            shown.end(name, f"{name}: {show_us(event.measurement.summary.latency_us)}, {event.measurement.summary.quality}")
        case CaseGivenUp():
            shown.end(name, f"{name}: failed ({event.failure.reason}): {event.failure}")


def show_results(session: Session, artifacts: Sequence[str], out: Console) -> None:
    rows = results(session.reader, artifacts)
    if rows:
        out.print()
        out.print(leaderboard(rows))
        for sentence in verdicts(rows):
            out.print(sentence)
