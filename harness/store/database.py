"""The database, opened for writing in this version's schema, or read-only."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, ProgrammingError

from harness.core.errors import DatabaseBusy, HarnessError, WorkspaceError, first_line
from harness.store.files.workspace import db_folder
from harness.store.sqlite_file import can_write, connect_to_read, fold_log

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"  # the newest migration; a test compares this with db/migrations
_PATIENCE_S = 60.0  # with another process that holds a lock
_WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    "synchronous=NORMAL",
)
_READ_CACHE_KB = 200_000  # at most; a query over a million runs reads every page once
_BACKENDS = ("sqlite", "postgresql")
_WRITING = "harness_writing"
_PATIENCE = "harness_patience_s"
_READING = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
)
_HARMLESS_PRAGMAS = ("table_info", "table_list", "index_list", "foreign_key_list")
_POSTGRES_LOCK = 0x6E6E62  # any number, the same in every process


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_database(
    url: str | URL, migrations: Path | None = None, patience_s: float = _PATIENCE_S
) -> Engine:
    """Open the database; create it or upgrade it to this version if necessary.

    An older SQLite file is copied first. One that this user may only read is opened as it is, and
    `write_transaction` then refuses to write. Whatever waits for another process's lock on a
    SQLite file waits for `patience_s` at most. Raises WorkspaceError if the database cannot be
    opened, was created by a newer version, or is older and may only be read.
    """
    engine = _create_engine(_parse_url(url), patience_s)
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        with _translate_errors(engine), _lock_file(engine):
            revision = _read_revision(engine)
            if revision != HEAD and not _is_writable(engine):
                raise _wrong_revision(engine, revision)
            if revision != HEAD or migrations is not None:
                _upgrade(engine, migrations or db_folder() / "migrations")
        on_failure.pop_all()
    return engine


def close_database(engine: Engine) -> None:
    """Disconnect from the database. A SQLite file alone then holds every row.

    The exception is a file whose log another process still reads: the next command completes it.
    """
    engine.dispose()
    if (file := _file_of(engine.url)) is not None:
        fold_log(file)


def _file_of(url: URL) -> Path | None:
    """Return the path of a SQLite file, or None for another kind of database."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database).absolute()


def check_writable(engine: Engine) -> None:
    """Raise WorkspaceError if this user may only read the database's file."""
    if not _is_writable(engine):
        raise _only_readable(_describe(engine))


def _is_writable(engine: Engine) -> bool:
    file = _file_of(engine.url)
    return file is None or can_write(file)


def _only_readable(database: str) -> WorkspaceError:
    return WorkspaceError(
        f"You may read the database {database} but not write to it; "
        "ask its owner for permission, or copy the workspace."
    )


def _wrong_revision(engine: Engine, revision: str | None) -> WorkspaceError:
    """Return the error for a file that needs an upgrade but may only be read."""
    if revision is not None and revision > HEAD:
        return _newer_revision(revision)
    return WorkspaceError(
        f"The database {_describe(engine)} has an older schema ({revision or 'none'}; this version "
        f"reads {HEAD}); copy it to a folder where it can be upgraded."
    )


def _newer_revision(revision: str, supported: str = HEAD) -> WorkspaceError:
    return WorkspaceError(
        f"A newer version of the harness created the database (schema {revision}; this one reads "
        f"up to {supported}); upgrade the harness, or set another HARNESS_HOME."
    )


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        raise WorkspaceError(
            f"Cannot use the database {_describe(engine)}: {first_line(error.orig)}; "
            "check HARNESS_HOME and HARNESS_DATABASE_URL."
        ) from error


def _create_engine(url: URL, patience_s: float) -> Engine:
    file = _file_of(url)
    if file is None:
        return create_engine(url)
    if not can_write(file):
        engine = create_engine(url, creator=lambda: connect_to_read(file))
        _configure_sqlite(engine, patience_s)
        return engine
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_create(error) from error
    engine = create_engine(url)
    _configure_sqlite(engine, patience_s, pragmas=_WRITER_PRAGMAS)
    return engine


def _cannot_create(error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"{error.filename}: cannot be created: {error.strerror}; "
        "set HARNESS_HOME to a folder that you may write to."
    )


def _parse_url(url: str | URL) -> URL:
    """Parse a database's URL.

    Raises WorkspaceError, without the URL's password, if it is invalid or its driver is missing.
    """
    expected = "expected the URL of a SQLite file or a PostgreSQL database."
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in _BACKENDS or (
            parsed.get_backend_name() == "sqlite" and not parsed.database
        ):
            raise WorkspaceError(f"HARNESS_DATABASE_URL: {expected}")
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ValueError) as error:
        raise WorkspaceError(f"HARNESS_DATABASE_URL: {expected}") from error
    except ModuleNotFoundError as error:
        raise WorkspaceError(
            f"HARNESS_DATABASE_URL needs {error.name}, which is not installed. For PostgreSQL, "
            "pip install 'bnn-harness[postgres]' and use postgresql+psycopg://…"
        ) from error
    return parsed


def _configure_sqlite(engine: Engine, patience_s: float, pragmas: Sequence[str] = ()) -> None:
    engine.update_execution_options(**{_PATIENCE: patience_s})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # `begin` starts transactions, not the driver
        for pragma in (f"busy_timeout={round(patience_s * 1000)}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN"
        )


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that writes, and commit it at the end.

    On SQLite it waits for its turn before it reads: otherwise it would fail if another process had
    written in between. Raises DatabaseBusy if its turn does not come in time, and
    WorkspaceError if this user may only read.
    """
    try:
        with engine.execution_options(**{_WRITING: True}).begin() as connection:
            yield connection
    except (OperationalError, ProgrammingError) as error:
        refusal = _explain_refusal(engine, str(error.orig))
        if refusal is None:
            raise
        raise refusal from error


def _explain_refusal(engine: Engine, message: str) -> HarnessError | None:
    database = _describe(engine)
    if "database is locked" in message:
        patience_s = engine.get_execution_options()[_PATIENCE]
        return DatabaseBusy(
            f"Another process has locked the database {database} for {patience_s:g} s; "
            "stop that process and repeat the command. All stored results are kept."
        )
    if any(sign in message for sign in ("permission denied", "readonly database")):
        return _only_readable(database)
    return None


def _read_revision(engine: Engine) -> str | None:
    """Return the newest migration that the database has, or None if it is new."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(engine: Engine, migrations: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    newest_first = [
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    ]
    current = _read_revision(engine)
    if current is not None and current not in newest_first:
        raise _newer_revision(current, supported=newest_first[0])
    if current is not None and current != newest_first[0]:
        _back_up(engine, current)
    _migrate(engine, config, migrations=migrations)


def _migrate(engine: Engine, config: "Config", migrations: Path) -> None:
    from alembic import command

    views = sorted(migrations.with_name("views").glob("*.sql"))
    with write_transaction(engine) as connection:
        # Another process may be upgrading as well; the second one then finds nothing to do.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")
        config.attributes["connection"] = connection
        _drop_views(connection, views)
        command.upgrade(config, "head")
        _create_views(connection, views)


@contextmanager
def _lock_file(engine: Engine) -> Iterator[None]:
    """Let one process at a time open a SQLite file.

    Its change to WAL mode does not wait for other processes, and only one may upgrade it.
    """
    file = _file_of(engine.url)
    if file is None or not can_write(file):
        yield
        return
    try:
        lock = FileLock(f"{file}.lock").acquire()
    except OSError as error:
        raise _cannot_create(error) from error
    with lock:
        yield


def _back_up(engine: Engine, revision: str) -> None:
    if (file := _file_of(engine.url)) is None:
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


def _create_views(connection: Connection, views: Sequence[Path]) -> None:
    """Create the views of `db/views`, sorted by name: they hold no data, so each upgrade does."""
    for file in views:
        sql = f"CREATE VIEW {file.stem} AS\n{file.read_text()}"
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def describe_url(url: str | URL) -> str:
    """Return a SQLite file's path, or another database's URL without its password."""
    parsed = make_url(url)
    return (
        str(parsed.database)
        if parsed.get_backend_name() == "sqlite"
        else parsed.render_as_string(hide_password=True)
    )


def _describe(engine: Engine) -> str:
    return describe_url(engine.url)


def open_read_only(url: str | URL) -> Engine:
    """Open the database for SQL from people: whatever it says, nothing is written.

    Raises WorkspaceError if there is no database.
    """
    parsed = _parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed)
        if engine.driver == "psycopg":
            event.listen(engine, "connect", _load_plain_numbers)
        return engine.execution_options(postgresql_readonly=True)
    file = _file_of(parsed)
    if file is None or not file.is_file():
        raise WorkspaceError(
            f"There is no database at {parsed.database} yet; submit a sweep first, "
            "for example `harness submit sweep jobs/quickstart.yaml --bench`."
        )
    return create_engine(parsed, creator=lambda: _read_only_sqlite(file))


def open_upgraded(url: str | URL) -> Engine:
    """Upgrade the database to this version, then open it as `open_read_only` does."""
    reader = open_read_only(url)
    close_database(open_database(url))
    return reader


def _load_plain_numbers(connection: Any, _record: object) -> None:
    """Load sums and averages of integers as SQLite does; psycopg's decimals are text in JSON."""
    from psycopg.adapt import Buffer, Loader

    class PlainNumberLoader(Loader):
        def load(self, data: Buffer) -> int | float:
            number = bytes(data)
            return int(number) if number.lstrip(b"-").isdigit() else float(number)

    connection.adapters.register_loader("numeric", PlainNumberLoader)


def _read_only_sqlite(file: Path) -> sqlite3.Connection:
    connection = connect_to_read(file)
    connection.execute(f"PRAGMA busy_timeout={round(_PATIENCE_S * 1000)}")
    connection.execute(f"PRAGMA cache_size=-{_READ_CACHE_KB}")
    connection.execute("PRAGMA query_only=ON")
    # On its first use, SQLite sets up json_each by a write to its schema in memory, which the
    # authorizer would refuse.
    connection.execute("SELECT value FROM json_each('[]')")
    connection.set_authorizer(_authorize_reading)
    return connection


def _authorize_reading(action: int, argument: Any, value: Any, *_rest: Any) -> int:
    """Allow nothing but reading: ATTACH and PRAGMA could undo or evade the other safeguards."""
    if action == sqlite3.SQLITE_PRAGMA:
        allowed = argument in _HARMLESS_PRAGMAS or (
            argument == "read_uncommitted" and value is None
        )
    else:
        allowed = action in _READING
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
