"""The implementation of `harness submit sweep`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rich.table import Table

from harness.cli.actions.bench import (
    BenchOptions,
    DeviceSelection,
    bench_artifacts,
    open_bench,
    select_bench_devices,
    show_results,
)
from harness.cli.actions.detach import refuse_second_job
from harness.cli.actions.pipeline import PipelineReporter
from harness.cli.actions.search import find_search_devices
from harness.cli.actions.session import Session, make_console
from harness.cli.actions.submit_search import submit_search
from harness.cli.actions.sweep_work import (
    count_formats,
    list_artifacts,
    make_training_stores,
    plan_training,
)
from harness.cli.actions.training import TrainingReporter, describe_model
from harness.config.search import list_corners
from harness.config.sweep_file import read_sweep
from harness.core.ids import to_plain
from harness.core.sweep import Sweep, Trial
from harness.core.units import count_noun
from harness.pipeline.run import Pipeline
from harness.report.terminal.tables import tabulate
from harness.report.terminal.work import show_work
from harness.report.terminal.work_state import TrainingPlan
from harness.sweep.mlflow import MlflowLog
from harness.sweep.plan import TrialPlan, plan_trials
from harness.sweep.resume import list_tried_trials, read_tried_points
from harness.sweep.search import SweepSearch, resume_search
from harness.sweep.train import check_artifact_files, train
from harness.sweep.trials import build_sweep

_MAX_ROWS = 1_000


def submit(
    file: Path,
    settings: Sequence[str],
    *,
    bench: bool,
    fleet: bool,
    address: str | None,
    dry_run: bool,
    registry: Path,
    mlflow: str | None,
) -> int:
    """Train the missing trials, bench their artifacts on request, and return how many failed.

    `mlflow` is the URI of a store that the training is logged to as well.
    """
    points = read_sweep(file, settings)
    sweep = build_sweep(points)
    search_devices = find_search_devices(file, sweep, registry=registry, bench=bench or dry_run)
    selection = select_bench_devices(registry, fleet=fleet) if bench or dry_run else None
    session = Session.from_environment()
    if search_devices is not None and not dry_run:
        refuse_second_job(session, sweep.name)
        return submit_search(
            session,
            points,
            sweep=sweep,
            devices=search_devices,
            fleet=selection if fleet else None,
            address=address,
            mlflow_log=MlflowLog(mlflow, sweep.name) if mlflow is not None else None,
        )
    plans = _plan_trials(session, sweep)
    search = (
        resume_search(
            sweep.name,
            points[0],
            rows=session.trials,
            load_checkpoints=session.checkpoints.load,
        )
        if sweep.search.method == "optuna"
        else None
    )
    if dry_run and selection is not None:
        return _show_plan(session, sweep, plans=plans, search=search, selection=selection)
    refuse_second_job(session, sweep.name)
    mlflow_log = MlflowLog(mlflow, sweep.name) if mlflow is not None else None
    out = make_console()
    out.print(_summarise_plan(sweep, plans, search=search))
    for plan in plans:
        if plan.artifacts and plan.reason:
            out.print(f"  trial {plan.trial.id} is trained again: {plan.reason}.")
    artifacts, _ = _forecast_artifacts(session, sweep, plans=plans, search=search)
    missing = [plan.trial for plan in plans if plan.reason]
    training = _plan_training(sweep, missing, search=search, selection=selection)
    options = BenchOptions(sweep.protocols)
    if not training.trials:
        session.trials.submit(sweep, missing)
        if selection is None:
            return 0
        return bench_artifacts(
            session, artifacts, selection=selection, options=options, uses_reference=True
        )
    out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    stores = make_training_stores(session)
    events = train(sweep, missing, search=search, address=address, stores=stores)
    devices = [device.id for device in selection.devices] if selection is not None else []
    with show_work(out, training, devices=devices) as progress, closing(events):
        reporter = TrainingReporter(out, progress, mlflow_log=mlflow_log)
        if selection is None:
            for event in events:
                reporter.report(event)
            reporter.summarise()
            return reporter.failures
        with open_bench(session, selection, options=options, out=out, progress=progress) as (
            running,
            bench_reporter,
        ):
            pipeline = Pipeline(running, selection.devices)
            pipeline_reporter = PipelineReporter(progress, reporter, bench=bench_reporter)
            for pipeline_event in pipeline.run(events, artifacts, planned=missing):
                pipeline_reporter.report(pipeline_event)
    reporter.summarise()
    trials = (
        sweep.trials
        if search is None
        else list_tried_trials(read_tried_points(sweep.name, points[0], rows=session.trials))
    )
    show_results(
        session,
        list_artifacts(session, trials),
        devices=devices,
        out=out,
    )
    return pipeline_reporter.failures


def _plan_training(
    sweep: Sweep,
    missing: Sequence[Trial],
    search: SweepSearch | None,
    selection: DeviceSelection | None,
) -> TrainingPlan:
    devices = selection.devices if selection is not None else ()
    if search is None:
        return plan_training(sweep, missing, devices=devices)
    point_trials = _sample_point(sweep, search)
    return plan_training(sweep, point_trials, devices=devices, repeats=search.remaining)


def _sample_point(sweep: Sweep, search: SweepSearch) -> Sequence[Trial]:
    """Return the trials of some point; each point has as many as any other."""
    return search.build_trials(next(list_corners(sweep.search)))


def _plan_trials(session: Session, sweep: Sweep) -> tuple[TrialPlan, ...]:
    states = session.trials.get_states(sweep.trials)
    return plan_trials(
        sweep, states, files=check_artifact_files(list(states.values()), session.files)
    )


def _show_plan(
    session: Session,
    sweep: Sweep,
    *,
    plans: Sequence[TrialPlan],
    search: SweepSearch | None,
    selection: DeviceSelection,
) -> int:
    out = make_console()
    if plans:
        out.print(_tabulate_plans(plans[:_MAX_ROWS]))
    if len(plans) > _MAX_ROWS:
        out.print(f"… and {len(plans) - _MAX_ROWS:,} more trials.")
    out.print(_summarise_plan(sweep, plans, search=search))
    artifacts, future_artifacts = _forecast_artifacts(session, sweep, plans=plans, search=search)
    return bench_artifacts(
        session,
        artifacts,
        selection=selection,
        options=BenchOptions(sweep.protocols, dry_run=True),
        future_artifacts=future_artifacts,
    )


def _tabulate_plans(plans: Sequence[TrialPlan]) -> Table:
    settings = _list_differences([plan.trial for plan in plans])
    differ = any(settings)
    headings = ["trial", "model", *(["settings"] if differ else []), "precision", "seed", "state"]
    rows: list[list[object]] = []
    for plan, setting in zip(plans, settings, strict=True):
        trial = plan.trial
        row = [trial.id, describe_model(trial), *([setting] if differ else [])]
        state = plan.reason or "done"
        rows.append([*row, trial.precision, trial.seed, state, _format_artifacts(plan)])
    return tabulate([*headings, "artifacts"], rows)


def _list_differences(trials: Sequence[Trial]) -> list[str]:
    """Describe each trial by the settings that it does not have in common with all others.

    Its model, precision and seed are left out.
    """
    settings = [dict(_list_settings(trial)) for trial in trials]
    common = set.intersection(*(set(of_trial.items()) for of_trial in settings))
    differences = []
    for of_trial in settings:
        words = [f"{key}={value}" for key, value in of_trial.items() if (key, value) not in common]
        differences.append(" ".join(words))
    return differences


def _list_settings(trial: Trial) -> Iterator[tuple[str, str]]:
    yield "dataset", trial.dataset
    yield from _flatten("train", to_plain(trial.recipe))
    yield from _flatten("convert", to_plain(trial.convert))


def _flatten(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each key with its dots, and its value as in a sweep file."""
    if not isinstance(value, dict):
        yield key, value if isinstance(value, str) else json.dumps(value)
        return
    for name, below in value.items():
        yield from _flatten(f"{key}.{name}", below)


def _forecast_artifacts(
    session: Session, sweep: Sweep, plans: Sequence[TrialPlan], search: SweepSearch | None
) -> tuple[list[str], int]:
    """Return the artifacts that exist, and how many more the sweep will make."""
    if search is None:
        artifacts: list[str] = []
        for plan in plans:
            if not plan.reason:
                artifacts += plan.artifacts.values()
        return artifacts, count_formats(plan.trial for plan in plans if plan.reason)
    future_artifacts = search.remaining * count_formats(_sample_point(sweep, search))
    return list_artifacts(session, list_tried_trials(search.tried_points)), future_artifacts


def _summarise_plan(sweep: Sweep, plans: Sequence[TrialPlan], search: SweepSearch | None) -> str:
    if search is not None:
        remaining = count_noun(search.remaining, "point")
        return (
            f"{sweep.name}: {remaining} of its search to try, "
            f"{len(search.tried_points)} already tried."
        )
    missing = sum(bool(plan.reason) for plan in plans)
    return (
        f"{sweep.name}: {count_noun(len(plans), 'trial')}, {missing} to train, "
        f"{len(plans) - missing} already done."
    )


def _format_artifacts(plan: TrialPlan) -> str:
    artifacts = [f"{format} {sha256[:12]}" for format, sha256 in plan.artifacts.items()]
    return ", ".join(artifacts) or "none yet"
