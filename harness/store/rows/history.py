"""What tools printed and what was read of it, to be read again."""

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
    """A measurement as it was stored: its processes, and the numbers that were read of them, by the runs' keys.

    `idle_uw` is the idle device's power by batch.
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
    """A case that has not ended: its processes so far, and what its device last said of itself."""

    case: Case
    device_kind: str
    processes: tuple[Process, ...]
    facts: Mapping[str, str]
    idle_uw: Mapping[str, float]


class History:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self) -> int:
        """How many measurements there are."""
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(measurements)) or 0

    def iter_measurements(self) -> Iterator[StoredMeasurement]:
        """Every measurement, one after the other: all their logs at once would not fit into memory."""
        with self._engine.connect() as connection:
            ids = list(connection.scalars(select(measurements.c.id).order_by(measurements.c.id)))
        for id in ids:
            yield self._kept(id)

    def _kept(self, id: int) -> StoredMeasurement:
        of_case = select(measurements, cases).join(cases, cases.c.id == measurements.c.case_id)
        with self._engine.connect() as connection:
            row = connection.execute(of_case.where(measurements.c.id == id)).mappings().one()
            its_runs = select(runs).where(runs.c.measurement_id == id).order_by(runs.c.number)
            found = connection.execute(its_runs).mappings().all()
        return StoredMeasurement(
            id,
            case_from_row(row),
            processes=tuple(process_from_row(run, row["artifact_run"]) for run in found),
            facts=json.loads(row["facts"]),
            valid=row["valid"],
            summary=summary_from_row(row),
            numbers={run["id"]: dict(run) for run in found},
            idle_uw=self._idle_uw({run["batch"] for run in found}),
        )

    def _idle_uw(self, ids: Collection[str | None]) -> dict[str, float]:
        known = (batches.c.id.in_(ids), batches.c.idle_power_uw.is_not(None))
        with self._engine.connect() as connection:
            rows = connection.execute(select(batches.c.id, batches.c.idle_power_uw).where(*known))
            return {row.id: row.idle_power_uw for row in rows}

    def list_pending_cases(self) -> list[PendingCase]:
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
        return [self._begun(rows) for rows in by_case.values()]

    def _begun(self, rows: Sequence[RowMapping]) -> PendingCase:
        first = rows[0]
        facts = json.loads(first["facts"] or "{}")
        processes = tuple(process_from_row(row) for row in rows)
        return PendingCase(
            case_from_row(first),
            first["device_kind"],
            processes=processes,
            facts=facts,
            idle_uw=self._idle_uw({row["batch"] for row in rows}),
        )

    def correct(self, kept: StoredMeasurement, read: Sequence[Run], summary: Summary) -> bool:
        """Writes what is read now, where that is something else: whether it was. What was printed stays as it is."""
        wrong = {
            id: run_columns(run)
            for (id, stored), run in zip(kept.numbers.items(), read, strict=True)
            if any(stored[name] != value for name, value in run_columns(run).items())
        }
        if not wrong and kept.valid and summary == kept.summary:
            return False
        with write_transaction(self._engine) as connection:
            for id, values in wrong.items():
                connection.execute(update(runs).where(runs.c.id == id).values(values))
            connection.execute(
                update(measurements)
                .where(measurements.c.id == kept.id)
                .values(valid=True, **summary_columns(summary))
            )
        return True

    def withdraw(self, kept: StoredMeasurement, failure: CaseFailed) -> None:
        """The measurement counts no longer: the case is measured anew by the next bench."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(measurements).where(measurements.c.id == kept.id).values(valid=False)
            )
            connection.execute(
                insert(failures), [{"case_id": kept.case.id, **failure_row(failure)}]
            )
