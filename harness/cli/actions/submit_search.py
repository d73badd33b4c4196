"""The implementation of `harness submit sweep` for a search that hears devices."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from harness.cli.actions.bench import (
    BenchOptions,
    DeviceSelection,
    open_bench,
    show_results,
)
from harness.cli.actions.pipeline import PipelineReporter
from harness.cli.actions.search import open_search, refuse_unfit_devices
from harness.cli.actions.search_report import SearchReporter
from harness.cli.actions.session import Session, make_console
from harness.cli.actions.sweep_work import list_artifacts, make_training_stores, plan_training
from harness.cli.actions.training import TrainingReporter
from harness.config.sweep_file import Point
from harness.core.sweep import Sweep
from harness.core.units import count_noun
from harness.pipeline.point_rows import StoredPoints
from harness.pipeline.run import Pipeline
from harness.pipeline.search_setup import SearchDevices, find_limits
from harness.report.terminal.work import show_work
from harness.sweep.mlflow import MlflowLog
from harness.sweep.points import SweepStudy, open_study
from harness.sweep.resume import list_tried_trials
from harness.sweep.train import train
from harness.sweep.trials import build_trials
from harness.training.search import SearchedUnits


def submit_search(
    session: Session,
    points: Sequence[Point],
    sweep: Sweep,
    *,
    devices: SearchDevices,
    selection: DeviceSelection,
    address: str | None,
    mlflow_log: MlflowLog | None,
) -> int:
    """Search with the devices, and return how many trials, cases and devices failed.

    The `selection` has these devices, and the others that measure the sweep.
    """
    out = make_console()
    devices.refuse_training()
    refuse_unfit_devices(session, sweep.search, devices=devices)
    study = open_study(sweep.name, points, rows=session.trials)
    tried_points = study.tried_points
    adopted = [study.study.adopt(tried.values) for tried in tried_points]
    remaining = count_noun(study.study.remaining, "point")
    out.print(f"{sweep.name}: {remaining} of its search to try, {len(adopted)} already tried.")
    out.print("Starting Ray …" if address is None else f"Joining the Ray cluster at {address} …")
    options = BenchOptions(sweep.protocols, limits=find_limits(sweep.search, devices.targets))
    stores = make_training_stores(session)
    ids = [device.id for device in selection.devices]
    left = study.study.remaining + sum(tried.is_interrupted for tried in tried_points)
    # Each point has as many trials as any other.
    plan = plan_training(sweep, build_trials(points[0]), devices=selection.devices, repeats=left)
    with (
        show_work(out, plan, devices=ids) as progress,
        open_bench(session, selection, options=options, out=out, progress=progress) as (
            running,
            bench_reporter,
        ),
        open_search(
            session,
            sweep,
            study=study.study,
            units=_make_units(session, study),
            devices=devices,
            bench=running,
            rows=StoredPoints(sweep.name, session.trials, forms=session.forms),
        ) as hearing,
    ):
        for point, tried in zip(adopted, tried_points, strict=True):
            hearing.search.adopt(point, tried.results)
        reporter = PipelineReporter(
            progress,
            TrainingReporter(out, progress, mlflow_log=mlflow_log),
            bench=bench_reporter,
            search=SearchReporter(sweep.search, progress),
        )
        # Its points have rows of their own, so that the file's trials are planned one by one.
        empty = replace(sweep, trials=())
        events = train(
            empty,
            (),
            search=hearing.search,
            address=address,
            stores=stores,
            places=devices.by_place,
        )
        pipeline = Pipeline(running, selection.devices, hearing=hearing)
        with closing(events):
            for event in pipeline.run(
                events, list_artifacts(session, list_tried_trials(tried_points)), planned=()
            ):
                reporter.report(event)
    reporter.summarise(out)
    artifacts = session.trials.get_sweep_artifacts(sweep.name)
    show_results(session, artifacts, devices=ids, out=out)
    return reporter.failures


def _make_units(session: Session, study: SweepStudy) -> SearchedUnits:
    """Return the units of the points, with the checkpoints that interrupted ones left."""
    trainings = {trial.training for trial in list_tried_trials(study.tried_points)}
    return SearchedUnits(study.build_trials, session.checkpoints.load(trainings))
