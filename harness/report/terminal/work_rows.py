"""The view of work that other processes do, from rows alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.core.units import count_noun
from harness.report.terminal.estimate import (
    DeviceRest,
    TrialEnd,
    estimate_from_ends,
    estimate_whole,
)
from harness.report.terminal.front_rows import SearchSnapshot
from harness.report.terminal.work_view import (
    ArtifactsView,
    DeviceState,
    DeviceView,
    FrontPoint,
    SweepView,
    TrialView,
    WorkView,
)
from harness.store.rows.running import TrialInTraining
from harness.store.rows.work import EndedTrial, MeasuredCase, PendingCases, QueueCounts

Row = Mapping[str, Any]


@dataclass(frozen=True)
class WorkSnapshot:
    """The rows of the work under way at a moment, `now` (ISO 8601, UTC).

    `sweeps` and `devices` have the columns of the named queries, and `users` who uses each device.
    `measured_before` is how many cases each device had when the view was opened. `searches` are
    those of the sweeps, the last submitted first. `running` has the trials in training by sweep.
    """

    now: str
    sweeps: Sequence[Row]
    devices: Sequence[Row]
    users: Mapping[str, str]
    measured_before: Mapping[str, int]
    ended: Mapping[str, Sequence[EndedTrial]]
    pending: Mapping[str, PendingCases]
    measurements: Sequence[MeasuredCase]
    cases_per_trial: Mapping[str, float]
    artifacts: QueueCounts
    searches: Sequence[SearchSnapshot] = ()
    running: Mapping[str, Sequence[TrialInTraining]] = field(default_factory=dict)


def view_rows(snapshot: WorkSnapshot) -> WorkView:
    """Return what the rows say about trials, artifacts and devices."""
    sweeps = tuple(_view_sweep(row, snapshot) for row in snapshot.sweeps)
    waiting = sum(row["waiting"] for row in snapshot.sweeps)
    paces = {row["device"]: _measure_pace(row["device"], snapshot) for row in snapshot.devices}
    training_s = _combine([sweep.remaining_s for sweep in sweeps])
    rests = []
    for row in snapshot.devices:
        per_trial = snapshot.cases_per_trial.get(row["device"], 0.0)
        rests.append(
            DeviceRest(
                row["queued"],
                paces[row["device"]],
                future=per_trial * waiting,
                latest=per_trial,
            )
        )
    counts = snapshot.artifacts
    headings, front = _find_front(snapshot.searches)
    return WorkView(
        sweeps,
        ArtifactsView(counts.waiting, queued=counts.queued, measuring=counts.measuring)
        if snapshot.devices
        else None,
        devices=tuple(
            _view_device(row, snapshot, pace=paces[row["device"]]) for row in snapshot.devices
        ),
        front=front,
        headings=headings,
        remaining=estimate_whole(training_s, rests),
    )


def _find_front(
    searches: Sequence[SearchSnapshot],
) -> tuple[tuple[str, ...], tuple[FrontPoint, ...]]:
    """Return the objectives and the front of the latest search that has one."""
    for search in searches:
        if front := search.list_front():
            return tuple(search.objectives), front
    return (), ()


def _combine(estimates: Sequence[float | None]) -> float | None:
    """Return the longest estimate, or None if one is unknown: sweeps train side by side."""
    seconds = [estimate for estimate in estimates if estimate is not None]
    return max(seconds, default=0.0) if len(seconds) == len(estimates) else None


def _view_sweep(row: Row, snapshot: WorkSnapshot) -> SweepView:
    ends = [
        TrialEnd(_seconds_between(trial.finished_at, snapshot.now), trial.work_s)
        for trial in snapshot.ended.get(row["sweep"], ())
    ]
    ended_early = row["trials"] - row["done"] - row["failed"] - row["waiting"]
    return SweepView(
        row["sweep"],
        row["trials"] - ended_early,
        done=row["done"],
        failed=row["failed"],
        running=tuple(
            _view_trial(trial, snapshot.now) for trial in snapshot.running.get(row["sweep"], ())
        ),
        remaining_s=estimate_from_ends(ends, row["waiting"]),
    )


def _view_trial(trial: TrialInTraining, moment: str) -> TrialView:
    progress = trial.progress
    parameters = [f"{key}={value}" for key, value in json.loads(trial.parameters).items()]
    return TrialView(
        " ".join([progress.trial_id, trial.model, *parameters, trial.precision]),
        progress.epoch,
        epochs=progress.epochs,
        seconds=max(0.0, _seconds_between(progress.started_at, moment)),
        note="starting" if progress.loss is None else f"loss {progress.loss:.3f}",
    )


def _view_device(row: Row, snapshot: WorkSnapshot, pace: float | None) -> DeviceView:
    id = row["device"]
    finished = max(0, row["measured"] - snapshot.measured_before.get(id, 0))
    latest = [case for case in snapshot.measurements if case.device == id]
    return DeviceView(
        id,
        _find_state(row, snapshot),
        doing=_describe_device(row, snapshot),
        finished=finished,
        total=finished + row["queued"],
        remaining_s=None if pace is None else pace * row["queued"],
        temperature_c=latest[-1].temperature_c if latest else None,
    )


def _find_state(row: Row, snapshot: WorkSnapshot) -> DeviceState:
    if row["device"] in snapshot.users:
        return DeviceState.MEASURING if row["queued"] else DeviceState.WAITING
    if row["message"] and row["queued"]:
        return DeviceState.TROUBLED
    return DeviceState.WAITING if row["queued"] else DeviceState.DONE


def _describe_device(row: Row, snapshot: WorkSnapshot) -> str:
    id = row["device"]
    pending = snapshot.pending.get(id)
    if id not in snapshot.users:
        return row["message"] or ("not in use" if row["queued"] else "done")
    if pending is None:
        return f"in use by {snapshot.users[id]}"
    threads = count_noun(pending.threads, "thread")
    return f"{pending.artifact[:12]}, {threads}, process {pending.process}"


def _measure_pace(device: str, snapshot: WorkSnapshot) -> float | None:
    """Return how long a case takes on the device in seconds, or None if none was measured lately.

    A batch is timed as a whole, with the processes of cases that have not ended.
    """
    by_batch: dict[str | None, list[MeasuredCase]] = {}
    for case in snapshot.measurements:
        if case.device == device:
            by_batch.setdefault(case.batch, []).append(case)
    if not by_batch:
        return None
    seconds, processes, cases = 0.0, 0, 0
    for measured in by_batch.values():
        first = min(case.started_at for case in measured)
        seconds += _seconds_between(first, max(case.measured_at for case in measured))
        processes += sum(case.processes for case in measured)
        cases += len(measured)
    pending = snapshot.pending.get(device)
    unfinished = pending.processes if pending is not None and pending.batch in by_batch else 0
    return seconds / (processes + unfinished) * processes / cases


def _seconds_between(first: str, later: str) -> float:
    return (_parse_time(later) - _parse_time(first)).total_seconds()


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
