"""The transfer of rows from one database into another that may already have some of them.

Most rows are identified by their content, or by the rows that they belong to. Rows that a database
numbers get new numbers, and are identified by what distinguishes them anywhere.
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
    forms,
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
    running_trials,
    runs,
    search_metrics,
    searches,
    sweep_trials,
    trial_artifacts,
    trials,
)

LOCAL_TABLES = frozenset({devices, identity, jobs, leases, pending_runs, queue, running_trials})
"""The tables about the harness's own devices and jobs, which are not transferred."""
MOVED_TABLES = tuple(table for table in metadata.sorted_tables if table not in LOCAL_TABLES)
_IDENTIFIED_BY_CONTENT = (
    sweep_trials,
    artifacts,
    forms,
    trial_artifacts,
    cases,
    batches,
    answers,
    kernels,
    operators,
)
# Columns that identify the rows that are numbered. A device measures a case once at a time.
_KEYS = {
    measurements: ("case_id", "measured_at"),
    canaries: ("batch", "moment", "measured_at"),
    failures: ("trial_id", "case_id", "device", "reason", "failed_at"),
    published: ("model", "precision", "device", "threads", "source", "dated"),
}
_CHUNK = 1000

TableRow = dict[str, Any]
RowSelection = Mapping[Table, ColumnElement[bool]]
ChunkReader = Callable[[Table], Iterator[list[TableRow]]]


def open_snapshot(engine: Engine) -> Connection:
    """Return a connection that sees the database as it is now, despite other writers."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    return engine.connect()


def select_all() -> RowSelection:
    return {table: true() for table in MOVED_TABLES}


def select_sweep(name: str) -> RowSelection:
    """Select a sweep's trials, their untrained forms, and all that was measured of both."""
    trial_ids = select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep == name)
    form_ids = select(trials.c.form).where(trials.c.id.in_(trial_ids), trials.c.form.is_not(None))
    trained = select(trial_artifacts.c.artifact).where(trial_artifacts.c.trial_id.in_(trial_ids))
    untrained = select(forms.c.artifact).where(
        forms.c.id.in_(form_ids), forms.c.artifact.is_not(None)
    )
    hashes = trained.union(untrained)
    case_ids = select(cases.c.id).where(cases.c.artifact.in_(hashes))
    measurement_ids = select(measurements.c.id).where(measurements.c.case_id.in_(case_ids))
    batch_ids = select(runs.c.batch).where(runs.c.measurement_id.in_(measurement_ids))
    device_ids = select(cases.c.device).where(cases.c.artifact.in_(hashes))
    return {
        sweep_trials: sweep_trials.c.sweep == name,
        searches: searches.c.sweep == name,
        search_metrics: search_metrics.c.sweep == name,
        trials: trials.c.id.in_(trial_ids),
        epochs: epochs.c.trial_id.in_(trial_ids),
        artifacts: artifacts.c.sha256.in_(hashes),
        forms: forms.c.id.in_(form_ids),
        trial_artifacts: trial_artifacts.c.trial_id.in_(trial_ids),
        cases: cases.c.id.in_(case_ids),
        measurements: measurements.c.case_id.in_(case_ids),
        runs: runs.c.measurement_id.in_(measurement_ids),
        batches: batches.c.id.in_(batch_ids),
        canaries: canaries.c.batch.in_(batch_ids),
        answers: answers.c.artifact.in_(hashes),
        kernels: kernels.c.device.in_(device_ids),
        operators: operators.c.case_id.in_(case_ids),
        failures: or_(failures.c.trial_id.in_(trial_ids), failures.c.case_id.in_(case_ids)),
    }


def merge(source: Connection, target: Connection, selection: RowSelection) -> dict[str, int]:
    """Copy the selected rows of `source` that `target` lacks; return how many are new, by table."""

    def read_chunks(table: Table) -> Iterator[list[TableRow]]:
        if table in selection:
            result = source.execution_options(yield_per=_CHUNK).execute(
                select(table).where(selection[table])
            )
            for partition in result.mappings().partitions():
                yield list(map(dict, partition))

    before = _count_rows(target)
    trial_ids = _merge_trials(read_chunks, target)
    for table in _IDENTIFIED_BY_CONTENT:
        for rows in read_chunks(table):
            insert_missing(target, table, *rows)
    _merge_curves(read_chunks, target, trial_ids=trial_ids)
    _merge_searches(read_chunks, target)
    new_numbers = {
        table: _merge_numbered(read_chunks, target, table=table, key=key)
        for table, key in _KEYS.items()
    }
    _merge_runs(read_chunks, target, measurement_ids=new_numbers[measurements])
    _withdraw(source, target, selection=selection)
    return {name: count - before[name] for name, count in _count_rows(target).items()}


def _count_rows(connection: Connection) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in MOVED_TABLES
    }


def _merge_trials(read_chunks: ChunkReader, target: Connection) -> set[str]:
    """Copy trials that are new, or done in `source` alone, and return their ids."""
    statuses = dict(target.execute(select(trials.c.id, trials.c.status)).all())
    copied = set()
    for rows in read_chunks(trials):
        new = [row for row in rows if row["id"] not in statuses]
        newly_done = [
            row for row in rows if row["status"] == DONE and statuses.get(row["id"], DONE) != DONE
        ]
        insert_missing(target, trials, *new)
        for row in newly_done:
            target.execute(update(trials).where(trials.c.id == row["id"]).values(row))
            target.execute(delete(epochs).where(epochs.c.trial_id == row["id"]))
        copied |= {row["id"] for row in (*new, *newly_done)}
    return copied


def _merge_curves(read_chunks: ChunkReader, target: Connection, trial_ids: set[str]) -> None:
    """Copy the whole curves of these trials.

    Two curves of one trial are never mixed: they may differ in length.
    """
    for rows in read_chunks(epochs):
        insert_missing(target, epochs, *(row for row in rows if row["trial_id"] in trial_ids))


def _merge_searches(read_chunks: ChunkReader, target: Connection) -> None:
    """Copy the searches that `target` lacks, each with all of its metrics.

    A sweep that both have may have been submitted with another search in each.
    """
    sweeps = set(target.scalars(select(searches.c.sweep)))
    for table in (searches, search_metrics):
        for rows in read_chunks(table):
            insert_missing(target, table, *(row for row in rows if row["sweep"] not in sweeps))


def _merge_numbered(
    read_chunks: ChunkReader, target: Connection, table: Table, key: tuple[str, ...]
) -> dict[int, int]:
    """Copy the rows whose key is new, and return their new numbers by their old ones."""

    def get_key(row: TableRow) -> tuple[Any, ...]:
        return tuple(row[name] for name in key)

    keys = set(target.execute(select(*(table.c[name] for name in key))))
    insert_rows = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    new_numbers: dict[int, int] = {}
    for rows in read_chunks(table):
        if new := [row for row in rows if get_key(row) not in keys]:
            numbers = target.scalars(insert_rows, [_without_number(row) for row in new]).all()
            new_numbers.update(zip((row["id"] for row in new), numbers, strict=True))
    return new_numbers


def _merge_runs(
    read_chunks: ChunkReader, target: Connection, measurement_ids: Mapping[int, int]
) -> None:
    """Copy the runs of new measurements; `measurement_ids` maps old numbers to new ones."""
    for rows in read_chunks(runs):
        new = [
            {**_without_number(row), "measurement_id": measurement_ids[row["measurement_id"]]}
            for row in rows
            if row["measurement_id"] in measurement_ids
        ]
        if new:
            target.execute(insert(runs), new)


def _withdraw(source: Connection, target: Connection, selection: RowSelection) -> None:
    """Mark measurements as invalid that `source` has withdrawn."""
    key = [measurements.c[name] for name in _KEYS[measurements]]
    withdrawn = select(*key).where(
        selection.get(measurements, false()), measurements.c.valid.is_(False)
    )
    for values in source.execute(withdrawn):
        same_key = (column == value for column, value in zip(key, values, strict=True))
        target.execute(update(measurements).where(*same_key).values(valid=False))


def _without_number(row: TableRow) -> TableRow:
    return {name: value for name, value in row.items() if name != "id"}
