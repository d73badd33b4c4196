"""Work under way as the rows have it: of any process that trains or measures into the database."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, Select, and_, distinct, func, select

from harness.core.search import Metric
from harness.store.rows.leases import is_dead, read_clock
from harness.store.rows.trials import DONE, PLANNED
from harness.store.rows.values import is_any_of
from harness.store.tables import (
    cases,
    leases,
    measurements,
    pending_runs,
    queue,
    runs,
    search_metrics,
    sweep_trials,
    trial_artifacts,
    trials,
)

_LATEST_TRIALS = 20
_LATEST_MEASUREMENTS = 200


@dataclass(frozen=True)
class EndedTrial:
    """The end of a trial (ISO 8601, UTC), and how long a worker was busy with it."""

    finished_at: str
    work_s: float


@dataclass(frozen=True)
class PendingCases:
    """The cases of a device that have not ended: the latest one, and the processes of all.

    `process` is the number of the latest one's newest process, which belongs to `batch`.
    """

    artifact: str
    threads: int
    process: int
    batch: str | None
    processes: int


@dataclass(frozen=True)
class MeasuredCase:
    """A measurement: when its first process started, how many it had, and how hot the device was.

    The cases of a batch are measured side by side.
    """

    device: str
    batch: str | None
    started_at: str
    measured_at: str
    processes: int
    temperature_c: float | None


@dataclass(frozen=True)
class QueueCounts:
    """The number of artifacts that wait for their twins, are queued, and are being measured."""

    waiting: int = 0
    queued: int = 0
    measuring: int = 0


class WorkRows:
    """The rows about trainings and benches that run in other processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list_users(self) -> dict[str, str]:
        """Return who uses each device now. Expired leases, and those of the dead, do not count."""
        query = select(leases.c.device, leases.c.owner, leases.c.process).order_by(
            leases.c.number.desc()
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(leases.c.expires >= read_clock(connection))).all()
        return {row.device: row.owner for row in rows if not is_dead(row.process)}

    def list_ended_trials(self, sweep: str) -> list[EndedTrial]:
        """Return the sweep's trials that were the last to be done, the earliest first."""
        parts = (trials.c.data_s, trials.c.fit_s, trials.c.convert_s, trials.c.evaluate_s)
        work_s = sum((func.coalesce(part, 0.0) for part in parts[1:]), func.coalesce(parts[0], 0.0))
        query = (
            select(trials.c.finished_at, work_s.label("work_s"))
            .join(sweep_trials, sweep_trials.c.trial_id == trials.c.id)
            .where(sweep_trials.c.sweep == sweep, trials.c.status == DONE)
            .order_by(trials.c.finished_at.desc())
            .limit(_LATEST_TRIALS)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [EndedTrial(row.finished_at, row.work_s) for row in reversed(rows)]

    def list_objectives(self, sweep: str) -> dict[str, Metric]:
        """Return the metrics of a search's objectives by their names; none without a search."""
        columns = search_metrics.c
        query = (
            select(columns.name, columns.metric)
            .where(columns.sweep == sweep, columns.at_most.is_(None))
            .order_by(columns.number)
        )
        with self._engine.connect() as connection:
            return {row.name: row.metric for row in connection.execute(query)}

    def list_pending(self) -> dict[str, PendingCases]:
        """Return the cases that have not ended, by device."""
        query = (
            select(
                cases.c.device,
                cases.c.artifact,
                cases.c.threads,
                pending_runs.c.number,
                pending_runs.c.batch,
            )
            .join(cases, cases.c.id == pending_runs.c.case_id)
            .order_by(pending_runs.c.started_at)
        )
        pending: dict[str, PendingCases] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                earlier = pending.get(row.device)
                pending[row.device] = PendingCases(
                    row.artifact,
                    row.threads,
                    process=row.number,
                    batch=row.batch,
                    processes=1 + (earlier.processes if earlier else 0),
                )
        return pending

    def list_latest_measurements(self) -> list[MeasuredCase]:
        """Return the latest measurements of all devices, the earliest first."""
        latest = (
            select(measurements)
            .order_by(measurements.c.id.desc())
            .limit(_LATEST_MEASUREMENTS)
            .subquery()
        )
        query = (
            select(
                latest.c.id,
                cases.c.device,
                latest.c.measured_at,
                latest.c.temperature_c,
                func.max(runs.c.batch).label("batch"),
                func.min(runs.c.started_at).label("started_at"),
                func.count().label("processes"),
            )
            .join(cases, cases.c.id == latest.c.case_id)
            .join(runs, runs.c.measurement_id == latest.c.id)
            .group_by(latest.c.id, cases.c.device, latest.c.measured_at, latest.c.temperature_c)
            .order_by(latest.c.id)
        )
        with self._engine.connect() as connection:
            return [
                MeasuredCase(
                    row.device,
                    row.batch,
                    started_at=row.started_at,
                    measured_at=row.measured_at,
                    processes=row.processes,
                    temperature_c=row.temperature_c,
                )
                for row in connection.execute(query)
            ]

    def count_cases_per_trial(self, sweeps: Collection[str]) -> dict[str, float]:
        """Return how many cases a trial of these sweeps has made on each device so far."""
        query = (
            select(
                cases.c.device,
                func.count(distinct(cases.c.id)).label("cases"),
                func.count(distinct(trial_artifacts.c.trial_id)).label("trials"),
            )
            .join(trial_artifacts, trial_artifacts.c.artifact == cases.c.artifact)
            .join(sweep_trials, sweep_trials.c.trial_id == trial_artifacts.c.trial_id)
            .where(is_any_of(self._engine.dialect, sweep_trials.c.sweep, values=sweeps))
            .group_by(cases.c.device)
        )
        with self._engine.connect() as connection:
            return {row.device: row.cases / row.trials for row in connection.execute(query)}

    def count_artifacts(self, sweeps: Collection[str], devices: Collection[str]) -> QueueCounts:
        """Count the artifacts under way: those of the sweeps that wait, and those in queues.

        An artifact counts as being measured on one of `devices`, which are in use.
        """
        on_devices = is_any_of(self._engine.dialect, cases.c.device, values=devices)
        measuring = (
            select(cases.c.artifact)
            .join(pending_runs, pending_runs.c.case_id == cases.c.id)
            .join(
                queue,
                and_(queue.c.artifact == cases.c.artifact, queue.c.device == cases.c.device),
            )
            .where(on_devices)
        )
        with self._engine.connect() as connection:
            queued = set(connection.scalars(select(queue.c.artifact).distinct()))
            measured = set(connection.scalars(measuring.distinct()))
            waiting = connection.scalars(self._select_waiting(sweeps)).one()
        return QueueCounts(waiting, queued=len(queued - measured), measuring=len(measured))

    def _select_waiting(self, sweeps: Collection[str]) -> Select[int]:
        """Select how many artifacts no device has planned yet while a twin is in training."""
        twin = trials.alias()
        planned_twin = (
            select(twin.c.id)
            .join(sweep_trials, sweep_trials.c.trial_id == twin.c.id)
            .where(
                twin.c.twin == trials.c.twin,
                twin.c.status == PLANNED,
                is_any_of(self._engine.dialect, sweep_trials.c.sweep, values=sweeps),
            )
            .correlate(trials)
        )
        artifact = trial_artifacts.c.artifact
        return (
            select(func.count(distinct(artifact)))
            .join(trials, trials.c.id == trial_artifacts.c.trial_id)
            .where(
                trials.c.status == DONE,
                planned_twin.exists(),
                ~select(queue.c.artifact).where(queue.c.artifact == artifact).exists(),
                ~select(cases.c.id).where(cases.c.artifact == artifact).exists(),
            )
        )
