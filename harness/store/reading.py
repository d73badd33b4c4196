"""SQL from files and from people, read-only, as columns and rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.store.database import db_folder


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
