"""Databases to test on: a SQLite file, and a PostgreSQL server that the tests start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from harness.store.database import open_database
from tests.postgres import PostgreSQL, installed, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    binaries = installed()
    if binaries is None:
        missing = "PostgreSQL's server is not installed (Debian and Ubuntu: apt install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with server(binaries) as postgres:
        yield postgres


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
    """The URL of a new database, on SQLite and on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The database `url`, open."""
    engine = open_database(url)
    yield engine
    engine.dispose()
