"""Opening the database: migrated before use, with views made anew; or read-only, for free SQL."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, ProgrammingError

from harness.core.errors import DatabaseBusy, HarnessError, WorkspaceError, first_line
from harness.store.files.workspace import db_folder

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"  # the newest migration; a test holds this against db/migrations
_BUSY_MS = 60_000
_READ_CACHE_KB = (
    200_000  # at most: a question that looks at all of a million runs reads every page once
)
_BACKENDS = ("sqlite", "postgresql")
_WRITING = "harness_writing"
_POSTGRES_LOCK = 0x6E6E62  # any number, the same in every process


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_database(url: str, migrations: Path | None = None) -> Engine:
    """The database, made or upgraded to this version if it has to be; an older SQLite file is copied first.

    Raises WorkspaceError where it can't be opened, or was made by a newer version.
    """
    engine = _engine(url)
    with _told(engine), _one_at_a_time(engine):
        if _revision(engine) != HEAD or migrations is not None:
            _upgrade(engine, migrations or db_folder() / "migrations")
    return engine


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        name = describe_url(engine.url.render_as_string(hide_password=False))
        raise WorkspaceError(
            f"The database {name} can't be used: {first_line(error.orig)}; check HARNESS_HOME and HARNESS_DATABASE_URL."
        ) from error


def _engine(url: str) -> Engine:
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{error.filename}: can't be made: {error.strerror}; set HARNESS_HOME to a folder that can be written."
        ) from error
    engine = create_engine(parsed)
    if engine.dialect.name == "sqlite":
        _settle_sqlite(engine)
    return engine


def _parsed(url: str) -> URL:
    """Raises WorkspaceError where it is no URL, or its driver is not installed; the URL's password is not told."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in _BACKENDS or (
            parsed.get_backend_name() == "sqlite" and not parsed.database
        ):
            raise WorkspaceError(
                "HARNESS_DATABASE_URL: has to name a SQLite file or a PostgreSQL database."
            )
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ValueError) as error:
        raise WorkspaceError(
            "HARNESS_DATABASE_URL: is no URL of a SQLite file or a PostgreSQL database."
        ) from error
    except ModuleNotFoundError as error:
        hint = "for PostgreSQL: pip install 'bnn-harness[postgres]' and postgresql+psycopg://…"
        raise WorkspaceError(
            f"HARNESS_DATABASE_URL needs {error.name}, which is not installed; {hint}"
        ) from error
    return parsed


def _settle_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in (
            f"busy_timeout={_BUSY_MS}",
            "journal_mode=WAL",
            "foreign_keys=ON",
            "synchronous=NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN"
        )


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that will write: on SQLite it waits for its turn at once.

    One that read first would fail where another had written since. Raises DatabaseBusy where its turn does not come,
    WorkspaceError where this user may only read.
    """
    try:
        with engine.execution_options(**{_WRITING: True}).begin() as connection:
            yield connection
    except (OperationalError, ProgrammingError) as error:
        refused = _refused(
            describe_url(engine.url.render_as_string(hide_password=False)), str(error.orig)
        )
        if refused is None:
            raise
        raise refused from error


def _refused(database: str, words: str) -> HarnessError | None:
    if "database is locked" in words:
        return DatabaseBusy(
            f"The database {database} has been locked by another process for {_BUSY_MS // 1000} s: end what holds it, "
            "and run this again; what is stored is kept."
        )
    if any(sign in words for sign in ("permission denied", "readonly database")):
        return WorkspaceError(
            f"The database {database} can be read and not written here: ask whoever owns it."
        )
    return None


def _revision(engine: Engine) -> str | None:
    """The migration that the database is at; None where it is new."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(engine: Engine, migrations: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    known = [
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    ]  # newest first
    current = _revision(engine)
    if current is not None and current not in known:
        raise WorkspaceError(
            f"The database is of a newer version of the harness (schema {current}, this one knows up to {known[0]}); "
            "upgrade the harness, or set HARNESS_HOME to another folder."
        )
    if current is not None and current != known[0]:
        _keep_copy(engine, current)
    _migrate(engine, config, migrations=migrations)


def _migrate(engine: Engine, config: "Config", migrations: Path) -> None:
    from alembic import command

    views = sorted(migrations.with_name("views").glob("*.sql"))
    with write_transaction(engine) as connection:
        if (
            connection.dialect.name == "postgresql"
        ):  # another process may be at it; the second one finds nothing to do
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")
        config.attributes["connection"] = connection
        _drop_views(connection, views)
        command.upgrade(config, "head")
        _make_views(connection, views)


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    """Between processes that open one SQLite file: its change to WAL waits for nobody, and its upgrade is for one."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    with FileLock(f"{engine.url.database}.lock"):
        yield


def _keep_copy(engine: Engine, revision: str) -> None:
    if engine.dialect.name != "sqlite" or not (file := engine.url.database):
        return
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    with (
        closing(sqlite3.connect(file)) as source,
        closing(sqlite3.connect(f"{file}.{revision}.{stamp}.bak")) as copy,
    ):
        source.backup(copy)


def _drop_views(connection: Connection, views: Sequence[Path]) -> None:
    for file in reversed(views):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {file.stem}")


def _make_views(connection: Connection, views: Sequence[Path]) -> None:
    """Views hold no data: each upgrade makes them anew from db/views, in the order of their names."""
    for file in views:
        sql = f"CREATE VIEW {file.stem} AS\n{file.read_text()}"
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def describe_url(url: str) -> str:
    """A SQLite file's path, or another database's URL without its password."""
    parsed = make_url(url)
    return (
        str(parsed.database)
        if parsed.get_backend_name() == "sqlite"
        else parsed.render_as_string(hide_password=True)
    )


def open_read_only(url: str) -> Engine:
    """For SQL from people: whatever it says, nothing is written. Raises WorkspaceError where there is no database."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed)
        if engine.driver == "psycopg":
            event.listen(engine, "connect", _plain_numbers)
        return engine.execution_options(postgresql_readonly=True)
    if not parsed.database or not Path(parsed.database).is_file():
        raise WorkspaceError(
            f"There is no database at {parsed.database} yet: submit a sweep first, "
            "for example `harness submit sweep jobs/quickstart.yaml --bench`."
        )
    file = Path(parsed.database).absolute()
    return create_engine("sqlite://", creator=lambda: _read_only_sqlite(file))


def open_upgraded(url: str) -> Engine:
    """As `open_read_only`, of a database that is brought to this version first. Raises WorkspaceError likewise."""
    reader = open_read_only(url)
    open_database(url).dispose()
    return reader


def _plain_numbers(connection: Any, _record: object) -> None:
    """Sums and averages of whole numbers as SQLite has them; psycopg has decimals, which are text in JSON."""
    from psycopg.adapt import Buffer, Loader

    class Numbers(Loader):
        def load(self, data: Buffer) -> int | float:
            number = bytes(data)
            return int(number) if number.lstrip(b"-").isdigit() else float(number)

    connection.adapters.register_loader("numeric", Numbers)


def _read_only_sqlite(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute(f"PRAGMA cache_size=-{_READ_CACHE_KB}")
    connection.execute("PRAGMA query_only=ON")
    # SQLite sets json_each up on its first use, by a write to its schema in memory that is refused below.
    connection.execute("SELECT value FROM json_each('[]')")
    connection.set_authorizer(_only_reading)
    return connection


def _only_reading(action: int, first: Any, second: Any, *_rest: Any) -> int:
    """Refuses everything but reading: ATTACH and PRAGMA could undo or go around the rest."""
    reading = (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    )
    if action == sqlite3.SQLITE_PRAGMA:
        harmless = first in ("table_info", "table_list", "index_list", "foreign_key_list") or (
            first == "read_uncommitted" and second is None
        )
        return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY
