"""The implementation of `harness submit sweep`."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

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
from harness.cli.actions.search import find_search_devices, select_devices_for
from harness.cli.actions.session import Session, make_console
from harness.cli.actions.submit_search import submit_search
from harness.cli.actions.sweep_work import (
    count_formats,
    list_artifacts,
    make_training_stores,
    plan_training,
)
from harness.cli.actions.training import TrainingReporter
from harness.cli.actions.trial_table import tabulate_plans
from harness.config.search import list_corners
from harness.config.sweep_file import Point, read_sweep
from harness.core.device import Device
from harness.core.sweep import Sweep, Trial
from harness.core.units import count_noun
from harness.pipeline.run import Pipeline
from harness.report.terminal.work import WorkProgress, show_work
from harness.report.terminal.work_state import TrainingPlan
from harness.sweep.mlflow import MlflowLog
from harness.sweep.plan import TrialPlan, plan_trials
from harness.sweep.resume import list_tried_trials, read_tried_points
from harness.sweep.search import SweepSearch, resume_search
from harness.sweep.train import check_artifact_files, train
from harness.sweep.trials import build_sweep
from harness.training.events import SweepEvent

_MAX_ROWS = 1_000


@dataclass(frozen=True)
class _Submission:
    """A sweep with the plans of its trials, or with its search; `selection` measures it."""

    session: Session
    sweep: Sweep
    points: Sequence[Point]
    plans: Sequence[TrialPlan]
    search: SweepSearch | None
    selection: DeviceSelection | None

    @property
    def missing(self) -> list[Trial]:
        """The planned trials that are to be trained."""
        return [plan.trial for plan in self.plans if plan.reason]

    @property
    def devices(self) -> Sequence[Device]:
        return self.selection.devices if self.selection is not None else ()

    @property
    def options(self) -> BenchOptions:
        return BenchOptions(self.sweep.protocols)

    def list_trials(self) -> Sequence[Trial]:
        """Return the sweep's trials, or those of the points that its search has tried until now."""
        if self.search is None:
            return self.sweep.trials
        rows = self.session.trials
        return list_tried_trials(read_tried_points(self.sweep.name, self.points[0], rows=rows))


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
    if search_devices is not None:
        selection = select_devices_for(search_devices, selection if fleet else None)
    session = Session.from_environment()
    if dry_run and selection is not None:
        return _show_plan(_plan(session, points, sweep=sweep, selection=selection), selection)
    refuse_second_job(session, sweep.name)
    mlflow_log = MlflowLog(mlflow, sweep.name) if mlflow is not None else None
    if search_devices is not None and selection is not None:
        return submit_search(
            session,
            points,
            sweep=sweep,
            devices=search_devices,
            selection=selection,
            address=address,
            mlflow_log=mlflow_log,
        )
    submission = _plan(session, points, sweep=sweep, selection=selection)
    return _submit(submission, address=address, mlflow_log=mlflow_log)


def _plan(
    session: Session, points: Sequence[Point], sweep: Sweep, selection: DeviceSelection | None
) -> _Submission:
    states = session.trials.get_states(sweep.trials)
    files = check_artifact_files(list(states.values()), session.files)
    search = None
    if sweep.search.method == "optuna":
        load = session.checkpoints.load
        search = resume_search(sweep.name, points[0], rows=session.trials, load_checkpoints=load)
    return _Submission(
        session,
        sweep,
        points=points,
        plans=plan_trials(sweep, states, files=files),
        search=search,
        selection=selection,
    )


def _submit(submission: _Submission, *, address: str | None, mlflow_log: MlflowLog | None) -> int:
    out = make_console()
    out.print(_summarise_plan(submission))
    for plan in submission.plans:
        if plan.artifacts and plan.reason:
            out.print(f"  trial {plan.trial.id} is trained again: {plan.reason}.")
    training = _plan_training(submission)
    if not training.trials:
        return _bench_trained(submission)
    out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    return _train(submission, training, out=out, address=address, mlflow_log=mlflow_log)


def _bench_trained(submission: _Submission) -> int:
    """Store the sweep, of which all is trained, and bench its artifacts on request."""
    submission.session.trials.submit(submission.sweep, [])
    if submission.selection is None:
        return 0
    artifacts, _ = _forecast_artifacts(submission)
    return bench_artifacts(
        submission.session,
        artifacts,
        selection=submission.selection,
        options=submission.options,
        uses_reference=True,
    )


def _train(
    submission: _Submission,
    training: TrainingPlan,
    out: Console,
    address: str | None,
    mlflow_log: MlflowLog | None,
) -> int:
    events = train(
        submission.sweep,
        submission.missing,
        search=submission.search,
        address=address,
        stores=make_training_stores(submission.session),
    )
    ids = [device.id for device in submission.devices]
    with show_work(out, training, devices=ids) as progress, closing(events):
        reporter = TrainingReporter(out, progress, mlflow_log=mlflow_log)
        if submission.selection is None:
            for event in events:
                reporter.report(event)
            failures = reporter.failures
        else:
            failures = _bench_events(
                submission,
                events,
                selection=submission.selection,
                out=out,
                progress=progress,
                reporter=reporter,
            )
    reporter.summarise()
    if submission.selection is not None:
        artifacts = list_artifacts(submission.session, submission.list_trials())
        show_results(submission.session, artifacts, devices=ids, out=out)
    return failures


def _bench_events(
    submission: _Submission,
    events: Iterable[SweepEvent],
    *,
    selection: DeviceSelection,
    out: Console,
    progress: WorkProgress,
    reporter: TrainingReporter,
) -> int:
    """Bench the artifacts of a training while it runs, and return the failures of both."""
    artifacts, _ = _forecast_artifacts(submission)
    with open_bench(
        submission.session, selection, options=submission.options, out=out, progress=progress
    ) as (running, bench_reporter):
        pipeline = Pipeline(running, selection.devices)
        pipeline_reporter = PipelineReporter(progress, reporter, bench=bench_reporter)
        for event in pipeline.run(events, artifacts, planned=submission.missing):
            pipeline_reporter.report(event)
    return pipeline_reporter.failures


def _plan_training(submission: _Submission) -> TrainingPlan:
    sweep, search, devices = submission.sweep, submission.search, submission.devices
    if search is None:
        return plan_training(sweep, submission.missing, devices=devices)
    point_trials = _sample_point(sweep, search)
    return plan_training(sweep, point_trials, devices=devices, repeats=search.remaining)


def _sample_point(sweep: Sweep, search: SweepSearch) -> Sequence[Trial]:
    """Return the trials of some point; each point has as many as any other."""
    return search.build_trials(next(list_corners(sweep.search)))


def _show_plan(submission: _Submission, selection: DeviceSelection) -> int:
    out, plans = make_console(), submission.plans
    if plans:
        out.print(tabulate_plans(plans[:_MAX_ROWS]))
    if len(plans) > _MAX_ROWS:
        out.print(f"… and {len(plans) - _MAX_ROWS:,} more trials.")
    out.print(_summarise_plan(submission))
    artifacts, future_artifacts = _forecast_artifacts(submission)
    return bench_artifacts(
        submission.session,
        artifacts,
        selection=selection,
        options=replace(submission.options, dry_run=True),
        future_artifacts=future_artifacts,
    )


def _forecast_artifacts(submission: _Submission) -> tuple[list[str], int]:
    """Return the artifacts that exist, and how many more the sweep will make."""
    search = submission.search
    if search is None:
        artifacts: list[str] = []
        for plan in submission.plans:
            if not plan.reason:
                artifacts += plan.artifacts.values()
        return artifacts, count_formats(submission.missing)
    future_artifacts = search.remaining * count_formats(_sample_point(submission.sweep, search))
    tried_trials = list_tried_trials(search.tried_points)
    return list_artifacts(submission.session, tried_trials), future_artifacts


def _summarise_plan(submission: _Submission) -> str:
    name, search = submission.sweep.name, submission.search
    if search is not None:
        remaining = count_noun(search.remaining, "point")
        tried = len(search.tried_points)
        return f"{name}: {remaining} of its search to try, {tried} already tried."
    trials, missing = len(submission.plans), len(submission.missing)
    return (
        f"{name}: {count_noun(trials, 'trial')}, {missing} to train, "
        f"{trials - missing} already done."
    )
