"""`harness submit sweep`."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.bench import bench_artifacts, chosen_devices, show_cases
from harness.cli.session import DEVICES_FILE, DevicesFile, Session, console
from harness.core.bench import Device
from harness.core.sweep import Sweep, Trial, TrialOutcome
from harness.core.units import show_bytes, show_percent, show_seconds
from harness.pipeline.plan import TrialPlan, plan_trials, sweep_of
from harness.report.progress import Work, progress
from harness.report.tables import plain_rows
from harness.spec.sweep_file import read_sweep

submit_app = typer.Typer(help="Train what is missing of a sweep.", no_args_is_help=True)
app.add_typer(submit_app, name="submit")


@submit_app.callback()
def _submit() -> None:
    """Train what is missing of a sweep."""


@submit_app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep file, for example jobs/quickstart.yaml.")],
    bench: Annotated[bool, typer.Option("--bench", help="Benchmark the artifacts when they are made, on this machine.")] = False,
    fleet: Annotated[bool, typer.Option("--fleet", help="Benchmark them on every enabled device of the registry.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any key of the file.")] = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster; without it Ray is started on this machine.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Train, convert and evaluate the trials of a sweep that are not there yet, and benchmark them if asked."""
    planned = sweep_of(read_sweep(file, settings or []))
    wanted = chosen_devices(devices, fleet=fleet, ids=[], tags=[]) if bench or fleet or dry_run else ()
    session = Session.here()
    plans = _plans(session, planned)
    if dry_run:
        _show_plan(session, planned, plans, wanted)
        raise typer.Exit(0)
    failed = _train(session, planned, plans, address)
    if bench or fleet:
        failed += _bench(session, planned, wanted)
    raise typer.Exit(1 if failed else 0)


def _plans(session: Session, planned: Sweep) -> tuple[TrialPlan, ...]:
    from harness.pipeline.train import file_states

    states = session.trials.states(planned.trials)
    return plan_trials(planned.trials, states, file_states(list(states.values()), session.files))


def _show_plan(session: Session, planned: Sweep, plans: Sequence[TrialPlan], wanted: Sequence[Device]) -> None:
    out = console()
    trials = [(p.trial.id, _name(p), p.trial.precision, p.trial.seed, p.because or "done", _artifacts(p)) for p in plans]
    out.print(plain_rows(("trial", "model", "precision", "seed", "state", "artifacts"), trials))
    new = [plan for plan in plans if plan.because]
    out.print(f"{planned.name}: {len(plans)} trials, {len(new)} to train, {len(plans) - len(new)} already done.")
    artifacts = [sha256 for plan in plans if not plan.because for sha256 in plan.artifacts.values()]
    to_come = sum(len(plan.trial.convert.formats) for plan in new)
    show_cases(session, artifacts, to_come, wanted, planned.bench.protocols())


def _name(plan: TrialPlan) -> str:
    return " ".join([plan.trial.architecture, *(f"{key}={value}" for key, value in plan.trial.parameters.items())])


def _artifacts(plan: TrialPlan) -> str:
    return ", ".join(f"{form} {sha256[:12]}" for form, sha256 in plan.artifacts.items()) or "to be made"


def _train(session: Session, planned: Sweep, plans: Sequence[TrialPlan], address: str | None) -> int:
    """How many trials failed."""
    new = [plan.trial for plan in plans if plan.because]
    session.trials.submit(planned, new)
    out = console()
    out.print(f"{planned.name}: {len(plans)} trials, {len(new)} to train, {len(plans) - len(new)} already done.")
    for plan in plans:
        if plan.artifacts and plan.because:
            out.print(f"  trial {plan.trial.id} is trained again: {plan.because}.")
    if not new:
        return 0
    return _train_new(session, planned, new, address)


def _train_new(session: Session, planned: Sweep, new: Sequence[Trial], address: str | None) -> int:
    from harness.pipeline.train import train
    from harness.training.events import EpochEnded, Failed, Finished, Started

    out = console()
    started = monotonic()
    outcomes: list[TrialOutcome] = []
    failed = 0
    out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    with progress(out, "trials", len(new)) as shown:
        for event in train(new, planned.resources, address, session.trials, session.files):
            name = f"{event.trial.id} {event.trial.architecture} {event.trial.precision}"
            match event:
                case Started():
                    shown.step(name, 0, event.trial.recipe.epochs, "starting")
                case EpochEnded():
                    shown.step(name, event.epoch.number, event.trial.recipe.epochs, f"loss {event.epoch.loss:.3f}")
                case Finished():
                    outcomes.append(event.outcome)
                    _tell_done(shown, name, event.outcome)
                case Failed():
                    failed += 1
                    shown.end(name, f"{name}: failed ({event.failure.reason}): {event.failure.message}")
    out.print(_last_line(outcomes, failed, monotonic() - started))
    return failed


def _tell_done(shown: Work, name: str, outcome: TrialOutcome) -> None:
    made = ", ".join(f"{show_bytes(artifact.size_bytes)} at {show_percent(artifact.accuracy)}" for artifact in outcome.artifacts)
    shown.end(name, f"{name}: {made}, in {show_seconds(outcome.timings.work_s)}")


def _last_line(outcomes: Sequence[TrialOutcome], failed: int, wall_s: float) -> str:
    """How much of the workers' time was work: loading, fitting, converting and evaluating, not waiting or importing."""
    work_s = sum(outcome.timings.work_s for outcome in outcomes)
    import_s = sum(outcome.timings.import_s for outcome in outcomes)
    trials = f"{len(outcomes)} trials done, {failed} failed" if failed else f"{len(outcomes)} trials done"
    return f"{trials} in {show_seconds(wall_s)}: {show_seconds(work_s)} of work, {show_seconds(import_s)} of imports."


def _bench(session: Session, planned: Sweep, wanted: Sequence[Device]) -> int:
    """How many cases failed."""
    states = session.trials.states(planned.trials).values()
    artifacts = [sha256 for state in states for sha256 in state.artifacts.values()]
    return bench_artifacts(session, artifacts, wanted, planned.bench.protocols(), force=False)
