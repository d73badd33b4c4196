"""SQL from files and from people, read-only, as columns and rows."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import Engine, RowMapping, select
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from harness.core.comparison import Evidence
from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.store.database import db_folder
from harness.store.tables import measurements, runs, trial_artifacts


@dataclass(frozen=True)
class Rows:
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


@dataclass(frozen=True)
class NamedQuery:
    """`db/queries/NAME.sql`; its first line says in a comment what it is for."""

    name: str
    purpose: str
    sql: str


def named_queries() -> dict[str, NamedQuery]:
    return {file.stem: _named(file) for file in sorted((db_folder() / "queries").glob("*.sql"))}


def _named(file: Path) -> NamedQuery:
    sql = file.read_text()
    return NamedQuery(file.stem, sql.splitlines()[0].removeprefix("--").strip(), sql)


def ask(engine: Engine, sql: str) -> Rows:
    """Raises RequestError where the database refuses the SQL, or would have to write."""
    try:
        with engine.connect() as connection:
            # The text goes to the driver as it is: a colon or a percent sign in it is the user's. On PostgreSQL a
            # streamed result is a server's cursor, which takes one SELECT: no COMMIT before it, no COPY to a file.
            options = {"no_parameters": True, "stream_results": True}
            result = connection.exec_driver_sql(sql, execution_options=options)
            return Rows(_apart(list(result.keys())), tuple(tuple(row) for row in result))
    except DBAPIError as error:
        if error.statement is None:
            raise WorkspaceError(
                f"The database can't be reached: {first_line(error.orig)}; check HARNESS_DATABASE_URL."
            ) from error
        raise RequestError(f"The database refuses this SQL: {first_line(error.orig)}.{_hint(error)}") from error
    except ResourceClosedError as error:
        raise RequestError("This SQL answers no rows; queries are read-only, give a SELECT.") from error


def _apart(names: list[str]) -> tuple[str, ...]:
    """Of columns with one name, as a join of tables has them, the later ones get a number."""
    return tuple(
        f"{name}_{names[:at].count(name) + 1}" if name in names[:at] else name for at, name in enumerate(names)
    )


_WRITING_REFUSED = ("readonly", "not authorized", "authorization denied", "read-only", "syntax error")
_UNKNOWN_NAME = ("no such", "does not exist")


def _hint(error: DBAPIError) -> str:
    words = str(error.orig)
    if any(sign in words for sign in _WRITING_REFUSED):
        return " Queries are read-only: one SELECT."
    if any(sign in words for sign in _UNKNOWN_NAME):
        return " `harness query` lists the named queries; the view `results` has the rows."
    return ""


def results(engine: Engine, artifacts: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of the view `results`, of those artifacts where given; a trial of several sweeps stands in it once."""
    rows = ask(engine, "SELECT * FROM results ORDER BY device, threads, size_bytes, artifact, sweep").records()
    wanted = set(artifacts) if artifacts is not None else None
    once = {(row["case_id"], row["trial"]): row for row in reversed(rows)}
    return [row for row in reversed(once.values()) if wanted is None or row["artifact"] in wanted]


def evidence(engine: Engine, measured: Collection[int]) -> dict[int, Evidence]:
    """What stands behind those measurements, by their `measurement_id`."""
    about = select(measurements.c.id, measurements.c.runs, measurements.c.facts, measurements.c.harness_version)
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
        by_block={(run["batch"], run["block"]): run["avg_us"] for run in counted if run["batch"] is not None},
        facts=json.loads(measurement["facts"]),
        harness_version=measurement["harness_version"],
    )


def correct_images(engine: Engine, wanted: Collection[str]) -> Mapping[tuple[str, str], bytes]:
    """Of those artifacts, `Artifact.correct` by trial and artifact, where it is known."""
    query = select(trial_artifacts.c.trial_id, trial_artifacts.c.artifact, trial_artifacts.c.correct_zstd).where(
        trial_artifacts.c.artifact.in_(wanted), trial_artifacts.c.correct_zstd.is_not(None)
    )
    with engine.connect() as connection:
        return {(trial, sha256): zstandard.decompress(blob) for trial, sha256, blob in connection.execute(query)}
