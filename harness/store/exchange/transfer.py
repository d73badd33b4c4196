"""Rows of one database into another, those that it has already left out.

Most rows are known by their content, or by what they belong to. Those that are numbered where they are written get new
numbers, and are known by what tells them apart anywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from harness.store.rows.trials import DONE
from harness.store.rows.values import insert_missing
from harness.store.tables import (
    answers,
    artifacts,
    batches,
    canaries,
    cases,
    devices,
    epochs,
    failures,
    identity,
    jobs,
    kernels,
    leases,
    measurements,
    metadata,
    operators,
    pending_runs,
    published,
    queue,
    runs,
    sweep_trials,
    trial_artifacts,
    trials,
)

LOCAL_TABLES = frozenset({devices, identity, jobs, leases, pending_runs, queue})
"""What a harness knows of its own devices and jobs, and of nobody else's."""
MOVED_TABLES = tuple(table for table in metadata.sorted_tables if table not in LOCAL_TABLES)
_BY_CONTENT = (
    sweep_trials,
    artifacts,
    trial_artifacts,
    cases,
    batches,
    answers,
    kernels,
    operators,
)
# A device measures a case once at a time.
_KEYS = {
    measurements: ("case_id", "measured_at"),
    canaries: ("batch", "moment", "measured_at"),
    failures: ("trial_id", "case_id", "device", "reason", "failed_at"),
    published: ("model", "precision", "device", "threads", "source", "dated"),
}
_CHUNK = 1000

TableRow = dict[str, Any]
RowSelection = Mapping[Table, ColumnElement[bool]]
Chunks = Callable[[Table], Iterator[list[TableRow]]]


def open_snapshot(engine: Engine) -> Connection:
    """A connection whose transaction sees the database as it is now, whatever others write meanwhile."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    return engine.connect()


def select_all() -> RowSelection:
    return {table: true() for table in MOVED_TABLES}


def select_sweep(name: str) -> RowSelection:
    """What was trained for a sweep, and all that was measured of it."""
    its_trials = select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep == name)
    made = select(trial_artifacts.c.artifact).where(trial_artifacts.c.trial_id.in_(its_trials))
    its_cases = select(cases.c.id).where(cases.c.artifact.in_(made))
    measured = select(measurements.c.id).where(measurements.c.case_id.in_(its_cases))
    its_batches = select(runs.c.batch).where(runs.c.measurement_id.in_(measured))
    measured_on = select(cases.c.device).where(cases.c.artifact.in_(made))
    return {
        sweep_trials: sweep_trials.c.sweep == name,
        trials: trials.c.id.in_(its_trials),
        epochs: epochs.c.trial_id.in_(its_trials),
        artifacts: artifacts.c.sha256.in_(made),
        trial_artifacts: trial_artifacts.c.trial_id.in_(its_trials),
        cases: cases.c.id.in_(its_cases),
        measurements: measurements.c.case_id.in_(its_cases),
        runs: runs.c.measurement_id.in_(measured),
        batches: batches.c.id.in_(its_batches),
        canaries: canaries.c.batch.in_(its_batches),
        answers: answers.c.artifact.in_(made),
        kernels: kernels.c.device.in_(measured_on),
        operators: operators.c.case_id.in_(its_cases),
        failures: or_(failures.c.trial_id.in_(its_trials), failures.c.case_id.in_(its_cases)),
    }


def merge(source: Connection, target: Connection, selection: RowSelection) -> dict[str, int]:
    """How many rows came new into each table of `target`, of those that are selection of `source`."""

    def chunks(table: Table) -> Iterator[list[TableRow]]:
        if table in selection:
            found = source.execution_options(yield_per=_CHUNK).execute(
                select(table).where(selection[table])
            )
            yield from ([dict(row) for row in chunk] for chunk in found.mappings().partitions())

    before = _counts(target)
    taken = _take_trials(chunks, target)
    for table in _BY_CONTENT:
        for rows in chunks(table):
            insert_missing(target, table, *rows)
    _take_curves(chunks, target, taken=taken)
    numbers = {
        table: _take_numbered(chunks, target, table=table, key=key) for table, key in _KEYS.items()
    }
    _take_runs(chunks, target, measured=numbers[measurements])
    _withdraw(source, target, selection=selection)
    return {name: count - before[name] for name, count in _counts(target).items()}


def _counts(connection: Connection) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in MOVED_TABLES
    }


def _take_trials(chunks: Chunks, target: Connection) -> set[str]:
    """Those that were not known, or not done where `source` has them done: their ids."""
    known = dict(target.execute(select(trials.c.id, trials.c.status)).tuples().all())
    taken = set()
    for rows in chunks(trials):
        insert_missing(target, trials, *(row for row in rows if row["id"] not in known))
        ended = [
            row for row in rows if row["status"] == DONE and known.get(row["id"], DONE) != DONE
        ]
        for row in ended:
            target.execute(update(trials).where(trials.c.id == row["id"]).values(row))
            target.execute(delete(epochs).where(epochs.c.trial_id == row["id"]))
        taken |= {row["id"] for row in rows if row["id"] not in known or row in ended}
    return taken


def _take_curves(chunks: Chunks, target: Connection, taken: set[str]) -> None:
    """Whole ones: of a trial that both have trained, the two may be of different lengths."""
    for rows in chunks(epochs):
        insert_missing(target, epochs, *(row for row in rows if row["trial_id"] in taken))


def _take_numbered(
    chunks: Chunks, target: Connection, table: Table, key: tuple[str, ...]
) -> dict[int, int]:
    """The new number of each row that came new, by its old one."""
    known = set(target.execute(select(*(table.c[name] for name in key))).tuples())
    adding = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    numbers: dict[int, int] = {}
    for rows in chunks(table):
        if new := [row for row in rows if tuple(row[name] for name in key) not in known]:
            made = target.scalars(adding, [_unnumbered(row) for row in new]).all()
            numbers.update(zip((row["id"] for row in new), made, strict=True))
    return numbers


def _take_runs(chunks: Chunks, target: Connection, measured: Mapping[int, int]) -> None:
    """Those of the measurements that came new."""
    for rows in chunks(runs):
        of_new = (row for row in rows if row["measurement_id"] in measured)
        if new := [
            {**_unnumbered(row), "measurement_id": measured[row["measurement_id"]]}
            for row in of_new
        ]:
            target.execute(insert(runs), new)


def _withdraw(source: Connection, target: Connection, selection: RowSelection) -> None:
    """A measurement that no longer counts there counts no longer here."""
    key = [measurements.c[name] for name in _KEYS[measurements]]
    withdrawn = select(*key).where(
        selection.get(measurements, false()), measurements.c.valid.is_(False)
    )
    for row in source.execute(withdrawn).tuples():
        same = (column == value for column, value in zip(key, row, strict=True))
        target.execute(update(measurements).where(*same).values(valid=False))


def _unnumbered(row: TableRow) -> TableRow:
    return {name: value for name, value in row.items() if name != "id"}
