"""A PostgreSQL server that tests and benchmarks start for themselves."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

_NUMBERS = count(1)
# Nothing here has to survive the machine.
_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
"""


@dataclass(frozen=True)
class PostgreSQL:
    """A server that listens on a Unix socket in `folder`."""

    folder: Path

    @contextmanager
    def new_database(self) -> Iterator[str]:
        name = f"harness_{next(_NUMBERS)}"
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            yield self.url(name)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"


def installed() -> Path | None:
    """Where its server's programs are; Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    return debian[-1].parent if debian else None


@contextmanager
def server(binaries: Path) -> Iterator[PostgreSQL]:
    with tempfile.TemporaryDirectory(prefix="harness-pg-") as name:
        folder = Path(name)
        data = folder / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        _as_server(
            [binaries / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N", "-D", data],
            folder,
        )
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=folder))
        _as_server([binaries / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "start"], folder)
        try:
            yield PostgreSQL(folder)
        finally:
            _as_server([binaries / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop"], folder)


def _as_server(argv: list[str | Path], folder: Path) -> None:
    """PostgreSQL refuses to be run by root."""
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    ended = subprocess.run([*other, *argv], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
