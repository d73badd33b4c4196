"""What tools printed and what was read of it, to be read again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping, func, insert, select, update

from harness.core.bench import Case, Process, Run, Summary
from harness.core.errors import CaseFailed
from harness.core.ids import plain
from harness.store.cases import case_of, failure_row, numbers, process_of
from harness.store.database import writing
from harness.store.tables import cases, devices, failures, measurements, pending_runs, runs

_SUMMARY = ("latency_us", "latency_low_us", "latency_high_us", "runs", "peak_memory_bytes", "quality")


@dataclass(frozen=True)
class Kept:
    """A measurement as it was stored: its processes, and the numbers that were read of them, by the runs' keys."""

    id: int
    case: Case
    processes: tuple[Process, ...]
    facts: Mapping[str, str]
    valid: bool
    summary: Mapping[str, Any]
    numbers: Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Begun:
    """A case that has not ended: its processes so far, and what its device last said of itself."""

    case: Case
    device_kind: str
    processes: tuple[Process, ...]
    facts: Mapping[str, str]


class History:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self) -> int:
        """How many measurements there are."""
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(measurements)) or 0

    def measured(self) -> Iterator[Kept]:
        """Every measurement, one after the other: all their logs at once would not fit into memory."""
        with self._engine.connect() as connection:
            ids = list(connection.scalars(select(measurements.c.id).order_by(measurements.c.id)))
        for id in ids:
            yield self._kept(id)

    def _kept(self, id: int) -> Kept:
        of_case = select(measurements, cases).join(cases, cases.c.id == measurements.c.case_id)
        with self._engine.connect() as connection:
            row = connection.execute(of_case.where(measurements.c.id == id)).mappings().one()
            its_runs = select(runs).where(runs.c.measurement_id == id).order_by(runs.c.number)
            found = connection.execute(its_runs).mappings().all()
        return Kept(
            id,
            case_of(row),
            tuple(process_of(run, row["artifact_run"]) for run in found),
            json.loads(row["facts"]),
            row["valid"],
            {name: row[name] for name in _SUMMARY},
            {run["id"]: dict(run) for run in found},
        )

    def begun(self) -> list[Begun]:
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
        return [_begun(rows) for rows in by_case.values()]

    def correct(self, kept: Kept, read: Sequence[Run], summary: Summary) -> bool:
        """Writes what is read now, where that is something else: whether it was. What was printed stays as it is."""
        wrong = {
            id: numbers(run)
            for (id, stored), run in zip(kept.numbers.items(), read, strict=True)
            if any(stored[name] != value for name, value in numbers(run).items())
        }
        right = {"valid": True, **plain(summary)}
        if not wrong and right == {"valid": kept.valid, **kept.summary}:
            return False
        with writing(self._engine) as connection:
            for id, values in wrong.items():
                connection.execute(update(runs).where(runs.c.id == id).values(values))
            connection.execute(update(measurements).where(measurements.c.id == kept.id).values(right))
        return True

    def withdraw(self, kept: Kept, failure: CaseFailed) -> None:
        """The measurement counts no longer: the case is measured anew by the next bench."""
        with writing(self._engine) as connection:
            connection.execute(update(measurements).where(measurements.c.id == kept.id).values(valid=False))
            connection.execute(insert(failures), [{"case_id": kept.case.id, **failure_row(failure)}])


def _begun(rows: Sequence[RowMapping]) -> Begun:
    first = rows[0]
    processes = tuple(process_of(row) for row in rows)
    return Begun(case_of(first), first["device_kind"], processes, json.loads(first["facts"] or "{}"))
