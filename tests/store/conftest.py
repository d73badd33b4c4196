"""Databases to test on: a SQLite file, and a PostgreSQL server that the tests start for themselves."""

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
import pytest
from sqlalchemy import Engine

from harness.store.database import open_database

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
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            yield self.url(name)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    binaries = _binaries()
    with tempfile.TemporaryDirectory(prefix="harness-pg-") as name:
        folder = Path(name)
        data = folder / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        _as_server([binaries / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N", "-D", data], folder)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=folder))
        _as_server([binaries / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "start"], folder)
        try:
            yield PostgreSQL(folder)
        finally:
            _as_server([binaries / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop"], folder)


def _binaries() -> Path:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not debian:
        missing = "PostgreSQL's server is not installed (Debian and Ubuntu: apt install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return debian[-1].parent


def _as_server(argv: list[str | Path], folder: Path) -> None:
    """PostgreSQL refuses to be run by root."""
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    ended = subprocess.run([*other, *argv], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "harness.db"


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    return f"sqlite:///{sqlite_file}"


@pytest.fixture
def postgres_url(postgres: PostgreSQL) -> Iterator[str]:
    with postgres.new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database that nobody has opened yet, on each server."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """`url`, opened."""
    engine = open_database(url)
    yield engine
    engine.dispose()
