"""The implementation of `harness submit sweep --dry-run --measure`."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from harness.cli.actions.bench import BenchOptions, DeviceSelection, open_bench
from harness.cli.actions.search import find_search_devices, open_search, refuse_unfit_devices
from harness.cli.actions.session import Session, make_console
from harness.config.sweep_file import Point, read_sweep
from harness.core.errors import RequestError
from harness.core.rating import Rating
from harness.core.search import Search, describe_point, format_metric, name_metric
from harness.core.sweep import Sweep
from harness.core.units import count_noun
from harness.pipeline.point_rows import UnstoredPoints
from harness.pipeline.run import measure_points
from harness.pipeline.search_events import (
    PointFailed,
    PointFeasible,
    PointInfeasible,
    SearchEvent,
)
from harness.pipeline.search_setup import SearchDevices, find_limits
from harness.report.terminal.tables import tabulate
from harness.report.terminal.work import show_work
from harness.sweep.points import list_study
from harness.sweep.trials import build_sweep
from harness.training.events import Failed
from harness.training.search import SearchedUnits


def measure_search(file: Path, settings: Sequence[str], *, registry: Path, dry_run: bool) -> int:
    """Measure the untrained networks of a search's points, print which are feasible, train none.

    Return how many points, cases and devices failed.
    """
    if not dry_run:
        raise RequestError("--measure trains nothing; add --dry-run.")
    points = read_sweep(file, settings)
    sweep = build_sweep(points)
    devices = find_search_devices(file, sweep, registry=registry, bench=True)
    if devices is None:
        raise RequestError(
            f"{file}: search has no metric of a device that --measure could measure; "
            "add one to its constraints or objectives."
        )
    return _measure(Session.from_environment(), points, sweep=sweep, devices=devices)


def _measure(
    session: Session, points: Sequence[Point], sweep: Sweep, devices: SearchDevices
) -> int:
    refuse_unfit_devices(session, sweep.search, devices=devices)
    out, study = make_console(), list_study(points)
    ids = [device.id for device in devices.devices]
    out.print(
        f"{sweep.name}: {count_noun(study.remaining, 'point')} to measure on {', '.join(ids)}."
    )
    limits = find_limits(sweep.search, devices.targets)
    selection = DeviceSelection(devices.devices, dict(devices.registry))
    ends: list[SearchEvent] = []
    with (
        show_work(out, None, devices=ids) as progress,
        open_bench(
            session,
            selection,
            options=BenchOptions(sweep.protocols, limits=limits),
            out=out,
            progress=progress,
        ) as (running, reporter),
        open_search(
            session,
            sweep,
            study=study,
            units=SearchedUnits(study.build_trials),
            devices=devices,
            bench=running,
            rows=UnstoredPoints(),
            trains=False,
        ) as hearing,
    ):
        for event in measure_points(hearing.search, running):
            if isinstance(event, SearchEvent):
                ends.append(event)
            elif not isinstance(event, Failed):  # a point that failed has an event of its own
                reporter.report(event)
    out.print(_tabulate(sweep.search, ends))
    out.print(_summarise(_list_ends(ends)))
    return reporter.failures + sum(isinstance(event, PointFailed) for event in ends)


_End = PointFeasible | PointInfeasible | PointFailed


def _list_ends(events: Sequence[SearchEvent]) -> list[_End]:
    return [event for event in events if isinstance(event, _End)]


def _tabulate(search: Search, events: Sequence[SearchEvent]) -> Table:
    names = dict.fromkeys(map(name_metric, (*search.constraints, *search.device_metrics)))
    rows: list[list[object]] = []
    for event in _list_ends(events):
        rating = None if isinstance(event, PointFailed) else event.rating
        values = [_format_value(search, name, rating=rating) for name in names]
        rows.append([describe_point(event.point.values), *values, _explain(event)])
    return tabulate(["point", *names, "feasible"], rows)


def _format_value(search: Search, name: str, rating: Rating | None) -> str:
    values = {**rating.limited, **rating.objectives} if rating else {}
    for metric in (*search.constraints, *search.device_metrics):
        if name_metric(metric) == name and name in values:
            return format_metric(metric.metric, values[name])
    return "–"


def _summarise(ends: Sequence[_End]) -> str:
    judged = [end for end in ends if isinstance(end, PointFeasible)]
    unknown = sum(bool(end.rating.missing) for end in judged)
    rest = f", {unknown} are unknown" if unknown else ""
    points = count_noun(len(ends), "point")
    return f"{len(judged) - unknown} of {points} keep the constraints{rest}."


def _explain(event: _End) -> str:
    match event:
        case PointFeasible(rating=rating):
            return "unknown" if rating.missing else "yes"
        case PointInfeasible(cause=cause):
            return f"no: {cause.message}"
        case PointFailed(failure=failure):
            return f"failed ({failure.reason}): {failure.message}"
