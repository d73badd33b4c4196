"""Read-only SQL, from files and from people, with its result as columns and rows."""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from math import inf
from operator import itemgetter
from typing import Any, TypeAlias

import zstandard
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    RowMapping,
    Select,
    String,
    column,
    false,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError, ResourceClosedError, StatementError

from harness.core.comparison import Evidence, RepeatedCase
from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.store.queries import ParameterValue
from harness.store.rows.values import is_any_of
from harness.store.tables import cases, measurements, runs, trial_artifacts

_SORT_MEMORY = "64MB"  # for each sort; a larger one goes to a file and takes twice as long

# PostgreSQL's JIT compiler costs our queries more than it saves, and its cursors are planned for
# readers who take a tenth of the rows. A superuser's SQL could read the server's files and change
# its settings. It therefore runs under a role that may only read tables (PostgreSQL 14 or newer).
_SETTINGS = text("""
SELECT
    set_config('jit', 'off', true),
    set_config('cursor_tuple_fraction', '1', true),
    set_config('work_mem', :work_mem, true),
    set_config('statement_timeout', :limit_ms, true),
    CASE WHEN current_setting('is_superuser') = 'on'
        THEN set_config('role', 'pg_read_all_data', true)
    END""")
_STEPS_BETWEEN_CHECKS = 100_000  # of SQLite's virtual machine: some milliseconds
_ROWS_BETWEEN_CHECKS = 1_000
# On PostgreSQL, a streamed result is a server-side cursor. It accepts a single SELECT: no COMMIT
# before it, no COPY to a file. Rows over the limit are never sent.
_STREAMED = {"stream_results": True}

_RESULTS = table(
    "results",
    *(column(name, String) for name in ("artifact", "device", "precision", "file", "trial")),
)

_Statement: TypeAlias = Callable[[Connection], CursorResult[Any]]


@dataclass(frozen=True)
class QueryResult:
    """The columns and rows of a query's result; `is_truncated` if the limit cut rows off."""

    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    is_truncated: bool = False

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


@dataclass(frozen=True)
class QueryLimits:
    """Limits to the rows that a query returns, and to the seconds that it takes."""

    rows: float = inf
    seconds: float = inf


UNLIMITED = QueryLimits()


def run_query(
    engine: Engine,
    sql: str,
    values: Mapping[str, ParameterValue] | None = None,
    limits: QueryLimits = UNLIMITED,
) -> QueryResult:
    """Run one SELECT.

    `values` are those of a named query's parameters. SQL from a person has none: its colons stay as
    they are. Raises RequestError if the database rejects the SQL, if the SQL would write, or if it
    exceeds its time limit.
    """
    if values is None:
        options = {"no_parameters": True, **_STREAMED}
        return _run(
            engine,
            lambda connection: connection.exec_driver_sql(sql, execution_options=options),
            limits=limits,
        )
    return _run(
        engine,
        lambda connection: connection.execute(text(sql), dict(values), execution_options=_STREAMED),
        limits=limits,
    )


def _run(engine: Engine, statement: _Statement, limits: QueryLimits) -> QueryResult:
    try:
        with engine.connect() as connection:
            _limit_time(connection, limits.seconds)
            with statement(connection) as result:  # closes a cursor that is not read to its end
                return _fetch(result, limits)
    except DBAPIError as error:
        raise _translate_error(error, limits) from error
    except StatementError as error:  # raised before the database was asked: a value is missing
        raise RequestError(f"This SQL cannot be run: {first_line(error.orig or error)}.") from error
    except ResourceClosedError as error:
        raise RequestError(
            "This SQL returns no rows. Queries are read-only: write one SELECT."
        ) from error


_NAMES = {
    "device": "SELECT id FROM devices UNION SELECT device FROM cases",
    "sweep": "SELECT sweep FROM sweep_trials",
    "model": "SELECT model FROM trials",
    "dataset": "SELECT dataset FROM trials",
}
_MOST_NAMES = 10


def check_names(engine: Engine, values: Mapping[str, ParameterValue]) -> None:
    """Check that the devices, sweeps, models and data sets named by parameters exist.

    Raises RequestError for the first that does not.
    """
    for parameter in sorted(values.keys() & _NAMES.keys()):
        name = values[parameter]
        names = sorted({row[0] for row in run_query(engine, _NAMES[parameter]).values})
        if name and name not in names:
            hint = _suggest(str(name), names)
            raise RequestError(f"--param {parameter}={name}: unknown {parameter}. {hint}")


def _suggest(name: str, names: Sequence[str]) -> str:
    if matches := get_close_matches(name, names, n=1):
        return f"Did you mean {matches[0]!r}?"
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f"Known: {', '.join(names[:_MOST_NAMES]) or 'none yet'}{more}."


def _limit_time(connection: Connection, seconds: float) -> None:
    """Make the database interrupt statements that take longer."""
    if connection.dialect.name == "postgresql":
        limit_ms = 0 if seconds == inf else max(1, round(1000 * seconds))
        connection.execute(_SETTINGS, {"work_mem": _SORT_MEMORY, "limit_ms": str(limit_ms)})
        return
    end = time.monotonic() + seconds
    sqlite: Any = connection.connection.driver_connection
    sqlite.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_CHECKS)


def _fetch(result: CursorResult[Any], limits: QueryLimits) -> QueryResult:
    end = time.monotonic() + limits.seconds
    rows: list[tuple[Any, ...]] = []
    for partition in result.partitions(_ROWS_BETWEEN_CHECKS):
        rows.extend(map(tuple, partition))
        if time.monotonic() > end:
            raise _timeout_error(limits)
        if len(rows) > limits.rows:
            del rows[int(limits.rows) :]
            columns = _number_duplicates(list(result.keys()))
            return QueryResult(columns, tuple(rows), is_truncated=True)
    return QueryResult(_number_duplicates(list(result.keys())), tuple(rows))


def _timeout_error(limits: QueryLimits) -> RequestError:
    return RequestError(
        f"The query ran longer than {limits.seconds:g} s. "
        "Narrow it down, or raise the limit with --timeout."
    )


def _translate_error(error: DBAPIError, limits: QueryLimits) -> WorkspaceError | RequestError:
    message = first_line(error.orig)
    if any(sign in message for sign in _OUT_OF_TIME):
        return _timeout_error(limits)
    if error.statement is None:
        return WorkspaceError(
            f"Cannot connect to the database: {message}; check HARNESS_DATABASE_URL."
        )
    return RequestError(f"The database rejected this SQL: {message}.{_hint(error)}")


def _number_duplicates(names: list[str]) -> tuple[str, ...]:
    """Number repeated column names, as the join of two tables has them: `id`, `id_2`."""
    return tuple(
        f"{name}_{names[:index].count(name) + 1}" if name in names[:index] else name
        for index, name in enumerate(names)
    )


_OUT_OF_TIME = ("interrupted", "statement timeout")
_WRITING_REFUSED = (
    "readonly",
    "not authorized",
    "authorization denied",
    "read-only",
    "syntax error",
)
_UNKNOWN_NAME = ("no such", "does not exist")


def _hint(error: DBAPIError) -> str:
    message = str(error.orig)
    if any(sign in message for sign in _WRITING_REFUSED):
        return " Queries are read-only: write one SELECT."
    if any(sign in message for sign in _UNKNOWN_NAME):
        return " `harness query` lists the named queries; the view `results` has the rows."
    return ""


def read_results(
    engine: Engine,
    *,
    artifacts: Collection[str] | None = None,
    devices: Collection[str] | None = None,
    selectors: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of the view `results`, of these artifacts and devices if given.

    With `selectors`, return those whose precision or model file is one of them, or whose trial or
    artifact starts with one.
    A trial that several sweeps share appears once.
    """
    query: Select[Any] = (
        select(literal_column("*"))
        .select_from(_RESULTS)
        .order_by(text("device, threads, size_bytes, artifact, sweep"))
    )
    if artifacts is not None:
        query = query.where(is_any_of(engine.dialect, _RESULTS.c.artifact, values=artifacts))
    if devices is not None:
        query = query.where(is_any_of(engine.dialect, _RESULTS.c.device, values=devices))
    if selectors is not None:
        query = query.where(or_(false(), *map(_matches, selectors)))
    result = _run(
        engine,
        lambda connection: connection.execute(query, execution_options=_STREAMED),
        limits=UNLIMITED,
    )
    first_rows: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in result.records():
        first_rows.setdefault((row["case_id"], row["trial"]), row)
    return list(first_rows.values())


def _matches(selector: str) -> ColumnElement[bool]:
    return or_(
        _RESULTS.c.precision == selector,
        _RESULTS.c.file == selector,
        _RESULTS.c.trial.startswith(selector, autoescape=True),
        _RESULTS.c.artifact.startswith(selector, autoescape=True),
    )


def read_evidence(engine: Engine, measurement_ids: Collection[int]) -> dict[int, Evidence]:
    """Return the runs and circumstances of these measurements, by `measurement_id`."""
    summaries = select(
        measurements.c.id, measurements.c.runs, measurements.c.facts, measurements.c.harness_version
    ).where(is_any_of(engine.dialect, measurements.c.id, values=measurement_ids))
    processes = (
        select(runs.c.measurement_id, runs.c.batch, runs.c.block, runs.c.avg_us, runs.c.disturbed)
        .where(is_any_of(engine.dialect, runs.c.measurement_id, values=measurement_ids))
        .order_by(runs.c.measurement_id, runs.c.number)
    )
    runs_by_id: dict[int, list[RowMapping]] = {number: [] for number in measurement_ids}
    with engine.connect() as connection:
        for run in connection.execute(processes).mappings():
            runs_by_id[run["measurement_id"]].append(run)
        rows = connection.execute(summaries).mappings().all()
    return {row["id"]: _make_evidence(row, runs_by_id[row["id"]]) for row in rows}


def read_repeated_cases(engine: Engine, devices: Collection[str]) -> list[RepeatedCase]:
    """Return the cases of these devices that have several valid measurements.

    The reference of a sweep is one of them: it is measured in each batch. Few others are.
    """
    valid = measurements.c.valid
    on_devices = select(cases.c.id).where(is_any_of(engine.dialect, cases.c.device, values=devices))
    repeated = (
        select(measurements.c.case_id)
        .where(valid, measurements.c.case_id.in_(on_devices))
        .group_by(measurements.c.case_id)
        .having(func.count() > 1)
    )
    query = (
        select(cases, measurements.c.id.label("measurement_id"))
        .join(measurements, measurements.c.case_id == cases.c.id)
        .where(valid, cases.c.id.in_(repeated))
        .order_by(cases.c.id, measurements.c.measured_at, measurements.c.id)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    evidence = read_evidence(engine, [row["measurement_id"] for row in rows])
    return [
        _make_repeated_case(list(group), evidence)
        for _, group in groupby(rows, key=itemgetter("id"))
    ]


def _make_repeated_case(
    rows: Sequence[RowMapping], evidence: Mapping[int, Evidence]
) -> RepeatedCase:
    case = rows[0]
    return RepeatedCase(
        case["id"],
        case["artifact"],
        device=case["device"],
        threads=case["threads"],
        measurements=tuple(evidence[row["measurement_id"]] for row in rows),
    )


def _make_evidence(measurement: RowMapping, processes: Sequence[RowMapping]) -> Evidence:
    undisturbed = [run for run in processes if not run["disturbed"]]
    counted = undisturbed if len(undisturbed) >= measurement["runs"] else processes
    return Evidence(
        averages_us=tuple(run["avg_us"] for run in counted),
        by_block={
            (run["batch"], run["block"]): run["avg_us"]
            for run in counted
            if run["batch"] is not None
        },
        facts=json.loads(measurement["facts"]),
        harness_version=measurement["harness_version"],
    )


def read_correct_images(
    engine: Engine, artifacts: Collection[str]
) -> Mapping[tuple[str, str], bytes]:
    """Return `Artifact.correct` by trial and artifact, for those of the artifacts that have it."""
    query = select(
        trial_artifacts.c.trial_id, trial_artifacts.c.artifact, trial_artifacts.c.correct_zstd
    ).where(
        is_any_of(engine.dialect, trial_artifacts.c.artifact, values=artifacts),
        trial_artifacts.c.correct_zstd.is_not(None),
    )
    with engine.connect() as connection:
        return {
            (trial, sha256): zstandard.decompress(blob)
            for trial, sha256, blob in connection.execute(query)
        }
