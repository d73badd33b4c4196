"""A PostgreSQL server that tests and benchmarks start and stop."""

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
# No data needs to survive a crash of the machine.
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
    def new_database(self, template: str | None = None) -> Iterator[str]:
        """Yield the URL of an empty database, or of a copy of `template`."""
        name = f"harness_{next(_NUMBERS)}"
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}".encode()
            )
            yield self.url(name)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"


def installed() -> Path | None:
    """Return the folder of the server's programs, which Debian keeps off the PATH."""
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
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
        _run_as_server(
            [binaries / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N", "-D", data],
            folder,
        )
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=folder))
        _run_as_server(
            [binaries / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "start"], folder
        )
        try:
            yield PostgreSQL(folder)
        finally:
            _run_as_server(
                [binaries / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop"], folder
            )


def _run_as_server(argv: list[str | Path], folder: Path) -> None:
    """Run a command as another user than root, whom PostgreSQL refuses."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    ended = subprocess.run(
        [*prefix, *argv], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
