"""The raw output of tools and the numbers parsed from it, to be parsed again."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping, func, insert, select, update

from harness.core.bench import Case, Process, Run, Summary
from harness.core.errors import CaseFailed
from harness.store.database import write_transaction
from harness.store.rows.cases import (
    case_from_row,
    failure_row,
    process_from_row,
    run_columns,
    summary_columns,
    summary_from_row,
)
from harness.store.tables import batches, cases, devices, failures, measurements, pending_runs, runs


@dataclass(frozen=True)
class StoredMeasurement:
    """A measurement as it is stored: its processes, and the numbers that were parsed from them.

    `numbers` is keyed by the runs' ids; `idle_uw` is the idle device's power, by batch.
    """

    id: int
    case: Case
    processes: tuple[Process, ...]
    facts: Mapping[str, str]
    valid: bool
    summary: Summary
    numbers: Mapping[int, Mapping[str, Any]]
    idle_uw: Mapping[str, float]


@dataclass(frozen=True)
class PendingCase:
    """A case that has not ended: its processes so far, and the last facts of its device."""

    case: Case
    device_kind: str
    processes: tuple[Process, ...]
    facts: Mapping[str, str]
    idle_uw: Mapping[str, float]


class History:
    """All raw output that is stored, to be parsed again.

    Raw output never changes. Of two processes that correct one measurement, the later one counts.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self) -> int:
        """Return the number of measurements."""
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(measurements)) or 0

    def iter_measurements(self) -> Iterator[StoredMeasurement]:
        """Yield the measurements one by one: the logs of all would not fit into memory.

        Each is read when its turn comes, and those that are added meanwhile are left out.
        """
        with self._engine.connect() as connection:
            ids = list(connection.scalars(select(measurements.c.id).order_by(measurements.c.id)))
        for measurement_id in ids:
            yield self._read_measurement(measurement_id)

    def _read_measurement(self, measurement_id: int) -> StoredMeasurement:
        measurement = (
            select(measurements, cases)
            .join(cases, cases.c.id == measurements.c.case_id)
            .where(measurements.c.id == measurement_id)
        )
        processes = (
            select(runs).where(runs.c.measurement_id == measurement_id).order_by(runs.c.number)
        )
        with self._engine.connect() as connection:
            row = connection.execute(measurement).mappings().one()
            run_rows = connection.execute(processes).mappings().all()
        return StoredMeasurement(
            measurement_id,
            case_from_row(row),
            processes=tuple(process_from_row(run, row["artifact_run"]) for run in run_rows),
            facts=json.loads(row["facts"]),
            valid=row["valid"],
            summary=summary_from_row(row),
            numbers={run["id"]: dict(run) for run in run_rows},
            idle_uw=self._read_idle_power({run["batch"] for run in run_rows}),
        )

    def _read_idle_power(self, batch_ids: Collection[str | None]) -> dict[str, float]:
        query = select(batches.c.id, batches.c.idle_power_uw).where(
            batches.c.id.in_(batch_ids), batches.c.idle_power_uw.is_not(None)
        )
        with self._engine.connect() as connection:
            return {row.id: row.idle_power_uw for row in connection.execute(query)}

    def list_pending_cases(self) -> list[PendingCase]:
        """Return the cases that have processes and have not ended."""
        query = (
            select(pending_runs, cases, devices.c.facts)
            .join(cases, cases.c.id == pending_runs.c.case_id)
            .join(devices, devices.c.id == cases.c.device, isouter=True)
            .order_by(pending_runs.c.case_id, pending_runs.c.number)
        )
        by_case: dict[str, list[RowMapping]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query).mappings():
                by_case.setdefault(row["case_id"], []).append(row)
        return [self._make_pending_case(rows) for rows in by_case.values()]

    def _make_pending_case(self, rows: Sequence[RowMapping]) -> PendingCase:
        first = rows[0]
        return PendingCase(
            case_from_row(first),
            first["device_kind"],
            processes=tuple(process_from_row(row) for row in rows),
            facts=json.loads(first["facts"] or "{}"),
            idle_uw=self._read_idle_power({row["batch"] for row in rows}),
        )

    def correct(self, stored: StoredMeasurement, parsed: Sequence[Run], summary: Summary) -> bool:
        """Store newly parsed numbers if they differ, and return whether they do.

        The measurement counts again if it was withdrawn. The raw output stays as it is.
        """
        corrections = {}
        for (run_id, numbers), run in zip(stored.numbers.items(), parsed, strict=True):
            columns = run_columns(run)
            if any(numbers[name] != value for name, value in columns.items()):
                corrections[run_id] = columns
        if not corrections and stored.valid and summary == stored.summary:
            return False
        with write_transaction(self._engine) as connection:
            for run_id, values in corrections.items():
                connection.execute(update(runs).where(runs.c.id == run_id).values(values))
            connection.execute(
                update(measurements)
                .where(measurements.c.id == stored.id)
                .values(valid=True, **summary_columns(summary))
            )
        return True

    def withdraw(self, stored: StoredMeasurement, failure: CaseFailed) -> None:
        """Mark the measurement as invalid and store why; the next bench measures its case again."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(measurements).where(measurements.c.id == stored.id).values(valid=False)
            )
            connection.execute(
                insert(failures), [{"case_id": stored.case.id, **failure_row(failure)}]
            )
