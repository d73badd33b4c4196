"""SQL from files and from people, read-only, as columns and rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from harness.core.errors import RequestError
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


def ask(engine: Engine, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
    """Raises RequestError where the database refuses the SQL, or would have to write."""
    try:
        with engine.connect() as connection:
            # Without parameters the text goes to the driver as it is: a colon in it is the user's.
            result = connection.execute(text(sql), parameters) if parameters else connection.exec_driver_sql(sql)
            return Rows(_apart(list(result.keys())), tuple(tuple(row) for row in result))
    except DBAPIError as error:
        raise RequestError(f"The database refuses this SQL: {str(error.orig).strip()}.{_hint(error)}") from error
    except ResourceClosedError as error:
        raise RequestError("This SQL answers no rows; queries are read-only, give a SELECT.") from error


def _apart(names: list[str]) -> tuple[str, ...]:
    """Of columns with one name, as a join of tables has them, the later ones get a number."""
    return tuple(
        f"{name}_{names[:at].count(name) + 1}" if name in names[:at] else name for at, name in enumerate(names)
    )


def _hint(error: DBAPIError) -> str:
    words = str(error.orig)
    if "readonly" in words or "not authorized" in words or "read-only" in words:
        return " Queries are read-only."
    return " `harness query` lists the named queries; the view `results` has the rows." if "no such" in words else ""


def results(engine: Engine, artifacts: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of the view `results`, of those artifacts where given."""
    rows = ask(engine, "SELECT * FROM results ORDER BY device, threads, size_bytes, artifact").records()
    wanted = set(artifacts) if artifacts is not None else None
    return [row for row in rows if wanted is None or row["artifact"] in wanted]
