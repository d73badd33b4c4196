"""SQL from files and from people, read-only, as columns and rows."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

import zstandard
from sqlalchemy import Connection, CursorResult, Engine, RowMapping, select, text
from sqlalchemy.exc import DBAPIError, ResourceClosedError, StatementError

from harness.core.comparison import Evidence
from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.store.queries import ParameterValue
from harness.store.tables import measurements, runs, trial_artifacts

_SORTED_IN_MEMORY = "64MB"  # of each sort; what is more goes to a file, and takes twice as long
# PostgreSQL's compiler of queries takes longer than it saves on ours, and its cursors are planned for whoever reads a
# tenth of their rows. A superuser's question could read the server's files and change its settings: it is asked as one
# who may only read tables (from PostgreSQL 14 on).
_SETTINGS = text("""
SELECT
    set_config('jit', 'off', true),
    set_config('cursor_tuple_fraction', '1', true),
    set_config('work_mem', :work_mem, true),
    set_config('statement_timeout', :limit_ms, true),
    CASE WHEN current_setting('is_superuser') = 'on' THEN set_config('role', 'pg_read_all_data', true) END""")
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: some milliseconds
_ROWS_BETWEEN_LOOKS = 1_000


@dataclass(frozen=True)
class QueryResult:
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    is_truncated: bool = False  # there would be, over the limit

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


@dataclass(frozen=True)
class QueryLimits:
    """What a question may cost: rows that are read, and seconds."""

    rows: float = inf
    seconds: float = inf


UNLIMITED = QueryLimits()


def run_query(
    engine: Engine,
    sql: str,
    values: Mapping[str, ParameterValue] | None = None,
    limits: QueryLimits = UNLIMITED,
) -> QueryResult:
    """`values` are those of a named query's parameters; SQL of a person has none, and its colons are its own.

    Raises RequestError where the database refuses the SQL, would have to write, or takes longer than it may.
    """
    try:
        with engine.connect() as connection:
            _within(connection, limits.seconds)
            return _read(_run(connection, sql, values=values), limits)
    except DBAPIError as error:
        raise _told(error, limits) from error
    except StatementError as error:  # before the database was asked: a value is missing
        raise RequestError(
            f"This SQL can't be asked so: {first_line(error.orig or error)}."
        ) from error
    except ResourceClosedError as error:
        raise RequestError(
            "This SQL answers no rows; queries are read-only, give a SELECT."
        ) from error


_NAMED = {
    "device": "SELECT id FROM devices UNION SELECT device FROM cases",
    "sweep": "SELECT sweep FROM sweep_trials",
    "model": "SELECT model FROM trials",
    "dataset": "SELECT dataset FROM trials",
}


def check_names(engine: Engine, values: Mapping[str, ParameterValue]) -> None:
    """Raises RequestError where a parameter names a device, sweep, model or data set that there is none of."""
    for name in sorted(values.keys() & _NAMED.keys()):
        known = {row[0] for row in run_query(engine, _NAMED[name]).values}
        if values[name] and values[name] not in known:
            near = get_close_matches(str(values[name]), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`harness status` tells what there is."
            raise RequestError(
                f"--param {name}={values[name]}: there is no {name} of that name; {hint}"
            )


def _within(connection: Connection, seconds: float) -> None:
    """Ends what takes longer."""
    if connection.dialect.name == "postgresql":
        limit_ms = 0 if seconds == inf else max(1, round(1000 * seconds))
        connection.execute(_SETTINGS, {"work_mem": _SORTED_IN_MEMORY, "limit_ms": str(limit_ms)})
        return
    end = time.monotonic() + seconds
    sqlite: Any = connection.connection.driver_connection
    sqlite.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)


def _run(
    connection: Connection, sql: str, values: Mapping[str, ParameterValue] | None
) -> CursorResult[Any]:
    # On PostgreSQL a streamed result is a server's cursor, which takes one SELECT: no COMMIT before it, no COPY to a
    # file; and rows over the limit are never sent.
    options = {"stream_results": True}
    if values is None:
        return connection.exec_driver_sql(sql, execution_options={"no_parameters": True, **options})
    return connection.execute(text(sql), dict(values), execution_options=options)


def _read(result: CursorResult[Any], limits: QueryLimits) -> QueryResult:
    end = time.monotonic() + limits.seconds
    found: list[tuple[Any, ...]] = []
    for some in result.partitions(_ROWS_BETWEEN_LOOKS):
        found.extend(map(tuple, some))
        if time.monotonic() > end:
            raise _too_long(limits)
        if len(found) > limits.rows:
            return QueryResult(
                _apart(list(result.keys())), tuple(found[: int(limits.rows)]), is_truncated=True
            )
    return QueryResult(_apart(list(result.keys())), tuple(found))


def _too_long(limits: QueryLimits) -> RequestError:
    return RequestError(
        f"This takes longer than {limits.seconds:g} s: ask for less, or give it more with --timeout."
    )


def _told(error: DBAPIError, limits: QueryLimits) -> WorkspaceError | RequestError:
    words = first_line(error.orig)
    if any(sign in words for sign in _OUT_OF_TIME):
        return _too_long(limits)
    if error.statement is None:
        return WorkspaceError(
            f"The database can't be reached: {words}; check HARNESS_DATABASE_URL."
        )
    return RequestError(f"The database refuses this SQL: {words}.{_hint(error)}")


def _apart(names: list[str]) -> tuple[str, ...]:
    """Of columns with one name, as a join of tables has them, the later ones get a number."""
    return tuple(
        f"{name}_{names[:at].count(name) + 1}" if name in names[:at] else name
        for at, name in enumerate(names)
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
    words = str(error.orig)
    if any(sign in words for sign in _WRITING_REFUSED):
        return " Queries are read-only: one SELECT."
    if any(sign in words for sign in _UNKNOWN_NAME):
        return " `harness query` lists the named queries; the view `results` has the rows."
    return ""


def read_results(engine: Engine, artifacts: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of the view `results`, of those artifacts where given; a trial of several sweeps stands in it once."""
    rows = run_query(
        engine, "SELECT * FROM results ORDER BY device, threads, size_bytes, artifact, sweep"
    ).records()
    wanted = set(artifacts) if artifacts is not None else None
    once = {(row["case_id"], row["trial"]): row for row in reversed(rows)}
    return [row for row in reversed(once.values()) if wanted is None or row["artifact"] in wanted]


def read_evidence(engine: Engine, measured: Collection[int]) -> dict[int, Evidence]:
    """What stands behind those measurements, by their `measurement_id`."""
    about = select(
        measurements.c.id, measurements.c.runs, measurements.c.facts, measurements.c.harness_version
    )
    made = (
        select(runs.c.measurement_id, runs.c.batch, runs.c.block, runs.c.avg_us, runs.c.disturbed)
        .where(runs.c.measurement_id.in_(measured))
        .order_by(runs.c.measurement_id, runs.c.number)
    )
    processes: dict[int, list[RowMapping]] = {number: [] for number in measured}
    with engine.connect() as connection:
        for run in connection.execute(made).mappings():
            processes[run["measurement_id"]].append(run)
        found = connection.execute(about.where(measurements.c.id.in_(measured))).mappings().all()
    return {row["id"]: _evidence(row, processes[row["id"]]) for row in found}


def _evidence(measurement: RowMapping, made: Sequence[RowMapping]) -> Evidence:
    undisturbed = [run for run in made if not run["disturbed"]]
    counted = undisturbed if len(undisturbed) >= measurement["runs"] else made
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


def read_correct_images(engine: Engine, wanted: Collection[str]) -> Mapping[tuple[str, str], bytes]:
    """Of those artifacts, `Artifact.correct` by trial and artifact, where it is known."""
    query = select(
        trial_artifacts.c.trial_id, trial_artifacts.c.artifact, trial_artifacts.c.correct_zstd
    ).where(trial_artifacts.c.artifact.in_(wanted), trial_artifacts.c.correct_zstd.is_not(None))
    with engine.connect() as connection:
        return {
            (trial, sha256): zstandard.decompress(blob)
            for trial, sha256, blob in connection.execute(query)
        }
