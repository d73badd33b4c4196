"""A SQLite file as it lies on its medium: whether it may be written, and how to read it if not.

New rows first go to the write-ahead log beside the file, which has its name and `-wal`. A
checkpoint moves them into the file.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from harness.core.errors import WorkspaceError

_FOLD_MS = 5_000  # how long to wait for readers of rows that the log replaces


def can_write(file: Path) -> bool:
    """Return whether this user may write the file and what SQLite keeps beside it.

    A missing file counts as writable: the attempt to create it says what is wrong.
    """
    if not os.access(file, os.F_OK):
        return True
    paths = (file.parent, file, *filter(_exists, (_log_of(file), _index_of(file))))
    return all(os.access(path, os.W_OK) for path in paths)


def fold_log(file: Path) -> None:
    """Move the write-ahead log into the file, so that the file alone holds every row.

    What a process still reads is left to the next command, as is a log on a full disk.
    """
    if not _exists(_log_of(file)) or not can_write(file):
        return
    with suppress(sqlite3.OperationalError), closing(_connect(file, "mode=rw")) as connection:
        connection.execute(f"PRAGMA busy_timeout={_FOLD_MS}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect_to_read(file: Path) -> sqlite3.Connection:
    """Connect to a file for reading, whether or not its medium can be written.

    Where it can, the last connection to close removes the write-ahead log. Raises WorkspaceError
    if the file or its log cannot be read.
    """
    if can_write(file):
        return _connect(file, "mode=rw")
    if _exists(_index_of(file)):
        # The index lets SQLite read the log, and coordinates with writers on other machines.
        with suppress(sqlite3.OperationalError):
            return _connect(file, "mode=ro")
    if not _has_content(_log_of(file)):
        return _connect(file, "immutable=1")
    return _connect_to_copy(file)


def _connect(file: Path, option: str) -> sqlite3.Connection:
    """Connect with an option of SQLite's URIs, and read something: only then are files opened."""
    connection = sqlite3.connect(f"{file.as_uri()}?{option}", uri=True, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connect_to_copy(file: Path) -> sqlite3.Connection:
    """Connect to a copy that includes the log, which SQLite cannot read where it can't write.

    The copy has no name any more when this returns, and goes away with the connection.
    """
    with TemporaryDirectory(prefix="harness-") as folder:
        copy = Path(folder) / "copy.db"
        try:
            copyfile(file, copy)
            copyfile(_log_of(file), _log_of(copy))
        except OSError as error:
            raise WorkspaceError(
                f"{error.filename}: cannot be copied to read it: {error.strerror}; "
                "copy the workspace to a folder that you may write to, and set HARNESS_HOME."
            ) from error
        fold_log(copy)
        return _connect(copy, "immutable=1")


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _index_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-shm")


def _exists(path: Path) -> bool:
    return os.access(path, os.F_OK)


def _has_content(path: Path) -> bool:
    return _exists(path) and path.stat().st_size > 0
