"""The work of `harness submit sweep`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic

from harness.cli.actions.bench import Chosen, Way, bench_artifacts, chosen_devices
from harness.cli.actions.detach import refuse_second
from harness.cli.actions.session import Session, console
from harness.config.search import list_corners
from harness.config.sweep_file import read_sweep
from harness.core.sweep import Sweep, Timings, Trial
from harness.core.units import count_noun, format_bytes, format_percent, format_seconds
from harness.report.terminal.progress import ItemProgress, show_progress
from harness.report.terminal.tables import tabulate
from harness.sweep.mlflow import MlflowLog
from harness.sweep.plan import TrialPlan, plan_trials
from harness.sweep.resume import resume_search
from harness.sweep.train import TrainingStores, check_artifact_files, train
from harness.sweep.trials import build_sweep
from harness.training.events import (
    EpochEnded,
    Failed,
    Finished,
    Retried,
    Started,
    Stopped,
    TrialEvent,
)
from harness.training.search import AdaptiveSearch


def submit(
    file: Path,
    settings: Sequence[str],
    bench: bool,
    fleet: bool,
    address: str | None,
    dry_run: bool,
    registry: Path,
    mlflow: str | None,
) -> int:
    """How many trials and cases failed; `mlflow` is where their training is logged too."""
    points = read_sweep(file, settings)
    planned = build_sweep(points)
    wanted = chosen_devices(registry, fleet, ids=[], tags=[]) if bench or dry_run else None
    session = Session.here()
    plans = _plans(session, planned)
    search = (
        resume_search(planned.name, points[0], rows=session.trials)
        if planned.search.method == "optuna"
        else None
    )
    if dry_run and wanted is not None:
        return _show_plan(session, planned, plans=plans, search=search, wanted=wanted)
    refuse_second(session, planned.name)
    mlflow_log = MlflowLog(mlflow, planned.name) if mlflow is not None else None
    failed = _train(
        session, planned, plans=plans, search=search, address=address, mlflow_log=mlflow_log
    )
    if wanted is None:
        return failed
    trials = (
        planned.trials
        if search is None
        else resume_search(planned.name, points[0], rows=session.trials).tried_trials()
    )
    return failed + _bench(session, planned, trials=trials, wanted=wanted)


def _plans(session: Session, planned: Sweep) -> tuple[TrialPlan, ...]:
    states = session.trials.get_states(planned.trials)
    return plan_trials(
        planned, states, files=check_artifact_files(list(states.values()), session.files)
    )


def _show_plan(
    session: Session,
    planned: Sweep,
    plans: Sequence[TrialPlan],
    search: AdaptiveSearch | None,
    wanted: Chosen,
) -> int:
    out = console()
    trials = [
        (
            p.trial.id,
            _name(p.trial),
            p.trial.precision,
            p.trial.seed,
            p.reason or "done",
            _artifacts(p),
        )
        for p in plans
    ]
    if trials:
        out.print(tabulate(("trial", "model", "precision", "seed", "state", "artifacts"), trials))
    out.print(_counts(planned, plans, search=search))
    artifacts, to_come = _to_bench(session, planned, plans=plans, search=search)
    return bench_artifacts(
        session, artifacts, chosen=wanted, way=Way(planned.protocols, dry_run=True), to_come=to_come
    )


def _to_bench(
    session: Session, planned: Sweep, plans: Sequence[TrialPlan], search: AdaptiveSearch | None
) -> tuple[list[str], int]:
    """The artifacts that are there, and how many are to come."""
    if search is None:
        there = [sha256 for plan in plans if not plan.reason for sha256 in plan.artifacts.values()]
        return there, _formats(plan.trial for plan in plans if plan.reason)
    point = search.build_trials(
        next(list_corners(planned.search))
    )  # every other one has as many trials
    return _made(session, search.tried_trials()), search.count_remaining(planned.search) * _formats(
        point
    )


def _formats(trials: Iterable[Trial]) -> int:
    return sum(len(trial.convert.formats) for trial in trials)


def _made(session: Session, trials: Sequence[Trial]) -> list[str]:
    return [
        sha256
        for state in session.trials.get_states(trials).values()
        for sha256 in state.artifacts.values()
    ]


def _counts(planned: Sweep, plans: Sequence[TrialPlan], search: AdaptiveSearch | None) -> str:
    if search is not None:
        left = search.count_remaining(planned.search)
        return f"{planned.name}: {count_noun(left, 'point')} of its search to try, {len(search.tried_points)} begun before."
    new = sum(bool(plan.reason) for plan in plans)
    return f"{planned.name}: {count_noun(len(plans), 'trial')}, {new} to train, {len(plans) - new} already done."


def _name(trial: Trial) -> str:
    return " ".join(
        [trial.architecture, *(f"{key}={value}" for key, value in trial.parameters.items())]
    )


def _artifacts(plan: TrialPlan) -> str:
    return (
        ", ".join(f"{form} {sha256[:12]}" for form, sha256 in plan.artifacts.items())
        or "to be made"
    )


def _train(
    session: Session,
    planned: Sweep,
    plans: Sequence[TrialPlan],
    search: AdaptiveSearch | None,
    address: str | None,
    mlflow_log: MlflowLog | None,
) -> int:
    """How many trials failed."""
    out = console()
    out.print(_counts(planned, plans, search=search))
    for plan in plans:
        if plan.artifacts and plan.reason:
            out.print(f"  trial {plan.trial.id} is trained again: {plan.reason}.")
    new = [plan.trial for plan in plans if plan.reason]
    left = len(new) if search is None else search.count_remaining(planned.search)
    if not left:
        session.trials.submit(planned, new)
        return 0
    out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    began, failed = monotonic(), 0
    up: dict[tuple[str, int], float] = {}  # since when each worker is
    timings: list[Timings] = []
    stores = TrainingStores(session.trials, session.files, checkpoints=session.checkpoints)
    with show_progress(out, "trials", items=left) as shown:
        for event in train(planned, new, search=search, address=address, stores=stores):
            _tell(shown, event)
            if mlflow_log is not None:
                mlflow_log.log(event)
            match event:
                case Started():
                    up.setdefault((event.node, event.pid), monotonic())
                case Finished():
                    timings.append(event.outcome.timings)
                case Failed():
                    failed += 1
                    timings.append(event.timings or Timings())
    ended = monotonic()
    out.print(
        _last_line(
            timings, failed, wall_s=ended - began, up_s=[ended - since for since in up.values()]
        )
    )
    if mlflow_log is not None and mlflow_log.problem:
        out.print(mlflow_log.problem)
    return failed


def _tell(shown: ItemProgress, event: TrialEvent) -> None:
    trial = event.trial
    name = f"{trial.id} {_name(trial)} {trial.precision}"
    match event:
        case Started():
            shown.step(name, 0, trial.recipe.epochs, "starting")
        case EpochEnded():
            shown.step(
                name, event.epoch.number, trial.recipe.epochs, f"loss {event.epoch.loss:.3f}"
            )
        case Finished(outcome=outcome):
            made = ", ".join(
                f"{format_bytes(artifact.size_bytes)} at {format_percent(artifact.accuracy)}"
                for artifact in outcome.artifacts
            )
            shown.end(name, f"{name}: {made}, in {format_seconds(outcome.timings.work_s)}")
        case Retried(failure=failure):
            shown.step(
                name,
                0,
                trial.recipe.epochs,
                f"{failure.reason}: once more, alone, when the others are done",
            )
        case Stopped(cause=cause):
            shown.end(name, f"{name}: ended early ({cause.reason}): {cause.message}")
        case Failed(failure=failure):
            shown.end(name, f"{name}: failed ({failure.reason}): {failure.message}")


def _last_line(
    timings: Sequence[Timings], failed: int, wall_s: float, up_s: Sequence[float]
) -> str:
    """How much of the workers' time was work, once they were up: the rest they waited, for a trial or for the end."""
    work_s, import_s = (
        sum(values) for values in zip(*((one.work_s, one.import_s) for one in timings), strict=True)
    )
    trials = f"{count_noun(len(timings) - failed, 'trial')} done" + (
        f", {failed} failed" if failed else ""
    )
    if not up_s:
        return f"{trials} in {format_seconds(wall_s)}."
    return (
        f"{trials} in {format_seconds(wall_s)}. {count_noun(len(up_s), 'worker')} took {format_seconds(import_s / len(up_s))} "
        f"each to import what they need; from then on {format_percent(work_s / sum(up_s))} of their time was work."
    )


def _bench(session: Session, planned: Sweep, trials: Sequence[Trial], wanted: Chosen) -> int:
    """How many cases failed."""
    return bench_artifacts(
        session, _made(session, trials), chosen=wanted, way=Way(planned.protocols)
    )
