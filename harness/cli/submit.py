"""The work of `harness submit sweep`."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from harness.cli.bench import Chosen, Way, bench_artifacts, chosen_devices
from harness.cli.session import Session, console
from harness.core.sweep import Sweep, Timings, Trial
from harness.core.units import counted, show_bytes, show_percent, show_seconds
from harness.pipeline.plan import TrialPlan, plan_trials
from harness.pipeline.sweeps import sweep_of
from harness.pipeline.train import file_states, train
from harness.report.progress import Work, progress
from harness.report.tables import plain_rows
from harness.spec.sweep_file import read_sweep
from harness.training.events import EpochEnded, Failed, Finished, Started, TrialEvent


def submit(
    file: Path, settings: Sequence[str], bench: bool, fleet: bool, address: str | None, dry_run: bool, registry: Path
) -> int:
    """How many trials and cases failed."""
    planned = sweep_of(read_sweep(file, settings))
    wanted = chosen_devices(registry, fleet, [], []) if bench or dry_run else None
    session = Session.here()
    plans = _plans(session, planned)
    if dry_run and wanted is not None:
        return _show_plan(session, planned, plans, wanted)
    failed = _train(session, planned, plans, address)
    return failed + (_bench(session, planned, wanted) if wanted is not None else 0)


def _plans(session: Session, planned: Sweep) -> tuple[TrialPlan, ...]:
    states = session.trials.states(planned.trials)
    return plan_trials(planned.trials, states, file_states(list(states.values()), session.files))


def _show_plan(session: Session, planned: Sweep, plans: Sequence[TrialPlan], wanted: Chosen) -> int:
    out = console()
    trials = [
        (p.trial.id, _name(p.trial), p.trial.precision, p.trial.seed, p.because or "done", _artifacts(p)) for p in plans
    ]
    out.print(plain_rows(("trial", "model", "precision", "seed", "state", "artifacts"), trials))
    new = [plan for plan in plans if plan.because]
    out.print(_counts(planned, plans))
    artifacts = [sha256 for plan in plans if not plan.because for sha256 in plan.artifacts.values()]
    to_come = sum(len(plan.trial.convert.formats) for plan in new)
    return bench_artifacts(session, artifacts, wanted, Way(planned.protocols, dry_run=True), to_come)


def _counts(planned: Sweep, plans: Sequence[TrialPlan]) -> str:
    new = sum(bool(plan.because) for plan in plans)
    return f"{planned.name}: {counted(len(plans), 'trial')}, {new} to train, {len(plans) - new} already done."


def _name(trial: Trial) -> str:
    return " ".join([trial.architecture, *(f"{key}={value}" for key, value in trial.parameters.items())])


def _artifacts(plan: TrialPlan) -> str:
    return ", ".join(f"{form} {sha256[:12]}" for form, sha256 in plan.artifacts.items()) or "to be made"


def _train(session: Session, planned: Sweep, plans: Sequence[TrialPlan], address: str | None) -> int:
    """How many trials failed."""
    out = console()
    out.print(_counts(planned, plans))
    for plan in plans:
        if plan.artifacts and plan.because:
            out.print(f"  trial {plan.trial.id} is trained again: {plan.because}.")
    new = [plan.trial for plan in plans if plan.because]
    events = train(planned, new, address, session.trials, session.files)
    if new:
        out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    started, workers, failed = monotonic(), set(), 0
    timings: list[Timings] = []
    with progress(out, "trials", len(new)) as shown:
        for event in events:
            _tell(shown, event)
            match event:
                case Started():
                    workers.add((event.node, event.pid))
                case Finished():
                    timings.append(event.outcome.timings)
                case Failed():
                    failed += 1
                    timings.append(event.timings or Timings())
    if new:
        out.print(_last_line(timings, failed, monotonic() - started, len(workers)))
    return failed


def _tell(shown: Work, event: TrialEvent) -> None:
    trial = event.trial
    name = f"{trial.id} {_name(trial)} {trial.precision}"
    match event:
        case Started():
            shown.step(name, 0, trial.recipe.epochs, "starting")
        case EpochEnded():
            shown.step(name, event.epoch.number, trial.recipe.epochs, f"loss {event.epoch.loss:.3f}")
        case Finished(outcome=outcome):
            made = ", ".join(
                f"{show_bytes(artifact.size_bytes)} at {show_percent(artifact.accuracy)}"
                for artifact in outcome.artifacts
            )
            shown.end(name, f"{name}: {made}, in {show_seconds(outcome.timings.work_s)}")
        case Failed(failure=failure):
            shown.end(name, f"{name}: failed ({failure.reason}): {failure.message}")


def _last_line(timings: Sequence[Timings], failed: int, wall_s: float, workers: int) -> str:
    """How much of the workers' wall time was work: all but waiting and imports."""
    work_s, import_s = (sum(values) for values in zip(*((one.work_s, one.import_s) for one in timings), strict=True))
    trials = f"{counted(len(timings) - failed, 'trial')} done" + (f", {failed} failed" if failed else "")
    share = show_percent(work_s / (wall_s * max(workers, 1)))
    return (
        f"{trials} in {show_seconds(wall_s)}: {share} of the time of {counted(workers, 'worker')} was work "
        f"({show_seconds(work_s)}), {show_seconds(import_s)} went into imports."
    )


def _bench(session: Session, planned: Sweep, wanted: Chosen) -> int:
    """How many cases failed."""
    states = session.trials.states(planned.trials).values()
    artifacts = [sha256 for state in states for sha256 in state.artifacts.values()]
    return bench_artifacts(session, artifacts, wanted, Way(planned.protocols))
