"""Databases to test on: a SQLite file, and a PostgreSQL server that the tests start."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

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


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgreSQL) -> Iterator[str]:
    """The name of a database with the tables of this version."""
    with postgres.new_database() as url:
        open_database(url).dispose()
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the tables of this version."""
    file = tmp_path_factory.mktemp("template") / "harness.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


def needs_tables(request: pytest.FixtureRequest) -> bool:
    """Return whether the test opens the database by `engine`: a copy is then opened far sooner."""
    return "engine" in request.fixturenames


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "harness.db"


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, sqlite_file: Path) -> str:
    if needs_tables(request):
        shutil.copy(request.getfixturevalue("sqlite_template"), sqlite_file)
    return f"sqlite:///{sqlite_file}"


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres: PostgreSQL) -> Iterator[str]:
    template = request.getfixturevalue("postgres_template") if needs_tables(request) else None
    with postgres.new_database(template) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.full)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database on each server: empty, or with tables if the test asks for `engine`."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The database at `url`, opened."""
    engine = open_database(url)
    yield engine
    engine.dispose()
