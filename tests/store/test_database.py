import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Engine, MetaData, Table, inspect, text

from harness.core.errors import WorkspaceError
from harness.store.database import HEAD, describe_url, open_database, open_read_only
from harness.store.files.workspace import db_folder
from harness.store.tables import metadata
from tests.store.examples import count_rows, fill, open_together, read_rows, run_processes

PROMISED_COLUMNS = re.findall(
    r"\w+",
    "sweep, trial, model, precision, dataset, seed, params, accuracy, artifact, format, "
    "size_bytes, binary_macs, float_macs, device, device_kind, tool, threads, latency_us, "
    "latency_low_us, latency_high_us, runs, peak_memory_bytes, energy_uj, quality, measured_at",
)

NEXT = "9000"
NEXT_MIGRATION = f'''
"""A note on each trial."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"


def upgrade() -> None:
    op.add_column("trials", sa.Column("note", sa.Text(), nullable=True))
'''


@pytest.fixture
def next_migrations(tmp_path: Path) -> Path:
    """The migrations of a future version."""
    folder = tmp_path / "next" / "migrations"
    shutil.copytree(db_folder() / "migrations", folder)
    shutil.copytree(db_folder() / "views", folder.with_name("views"))
    (folder / "versions" / "9000_note.py").write_text(NEXT_MIGRATION)
    return folder


def test_opening_creates_every_table_and_the_view_results(engine: Engine) -> None:
    inspector = inspect(engine)
    assert set(metadata.tables) <= set(inspector.get_table_names())
    assert {"results"} <= set(inspector.get_view_names())


def test_results_has_the_columns_that_are_promised(engine: Engine) -> None:
    assert set(PROMISED_COLUMNS) <= {
        column["name"] for column in inspect(engine).get_columns("results")
    }


def test_opening_again_changes_nothing(url: str) -> None:
    first = open_database(url)
    fill(first)
    first.dispose()
    before = read_rows(url, "SELECT * FROM results ORDER BY artifact")
    open_database(url).dispose()
    assert read_rows(url, "SELECT * FROM results ORDER BY artifact") == before
    assert len(before) == 2


def test_the_folder_of_a_new_sqlite_file_is_created(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/not/yet/harness.db").dispose()
    assert (tmp_path / "not/yet/harness.db").is_file()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(db_folder() / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_migrations_create_the_tables_of_tables_py(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_sqlite_is_in_wal_mode(sqlite_url: str) -> None:
    engine = open_database(sqlite_url)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    engine = open_database(url)
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(WorkspaceError, match=r"newer version.*9999"):
        open_database(url)
    assert read_rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": "9999"}]
    assert len(read_rows(url, "SELECT * FROM results")) == 2


def test_an_older_database_is_upgraded_and_keeps_its_rows(url: str, next_migrations: Path) -> None:
    engine = open_database(url)
    fill(engine)
    engine.dispose()
    before = read_rows(url, "SELECT * FROM results ORDER BY artifact")
    open_database(url, next_migrations).dispose()
    assert read_rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": NEXT}]
    assert read_rows(url, "SELECT DISTINCT note FROM trials") == [{"note": None}]
    assert read_rows(url, "SELECT * FROM results ORDER BY artifact") == before


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(HEAD))])
def test_a_database_of_an_earlier_version_is_upgraded_with_its_rows(
    url: str, tmp_path: Path, repository: Path, revision: str
) -> None:
    saved = sqlite3.connect(":memory:")
    saved.row_factory = sqlite3.Row
    saved.executescript(
        (repository / "tests" / "data" / "databases" / f"{revision}.sql").read_text()
    )
    old = open_database(url, copy_migrations(revision, tmp_path))
    tables = MetaData()
    tables.reflect(old)
    old_tables = [table for table in tables.sorted_tables if table.name != "alembic_version"]
    with old.begin() as connection:
        for table in old_tables:
            connection.execute(table.delete())  # a migration may have inserted some rows
            if rows := [
                convert_row(table, row) for row in saved.execute(f"SELECT * FROM {table.name}")
            ]:
                connection.execute(table.insert(), rows)
    old.dispose()
    open_database(url).dispose()
    assert read_rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
    for table in old_tables:
        (number,) = saved.execute(f"SELECT count(*) FROM {table.name}").fetchone()
        assert count_rows(url, table.name) == number
    assert [
        row["latency_us"] for row in read_rows(url, "SELECT * FROM results ORDER BY latency_us")
    ] == [100.0, 400.0]


def test_the_work_of_earlier_cases_is_known_unless_their_inputs_were_chosen(
    sqlite_file: Path, sqlite_url: str, repository: Path
) -> None:
    with closing(sqlite3.connect(sqlite_file)) as saved:
        saved.executescript((repository / "tests/data/databases/0008.sql").read_text())
    open_database(sqlite_url).dispose()
    rows = read_rows(sqlite_url, "SELECT inputs, float_macs FROM results")
    assert {row["inputs"] is None: row["float_macs"] for row in rows} == {True: 4096, False: None}


def copy_migrations(revision: str, folder: Path) -> Path:
    """Copy the migrations up to a revision, without views: today's do not fit its tables."""
    target = folder / "migrations"
    shutil.copytree(db_folder() / "migrations", target)
    for file in (target / "versions").glob("[0-9]*.py"):
        if file.name[: len(revision)] > revision:
            file.unlink()
    return target


def convert_row(table: Table, row: sqlite3.Row) -> dict[str, object]:
    """Convert SQLite's integers to booleans where the column has them."""
    values = dict(row)
    return {
        name: bool(value) if isinstance(table.c[name].type, Boolean) else value
        for name, value in values.items()
    }


def test_a_copy_of_the_older_sqlite_file_is_kept(
    sqlite_file: Path, sqlite_url: str, next_migrations: Path
) -> None:
    engine = open_database(sqlite_url)
    fill(engine)  # left open, as its rows may still be in the write-ahead log
    open_database(sqlite_url, next_migrations).dispose()
    engine.dispose()
    (copy,) = sqlite_file.parent.glob("harness.db.*.bak")
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        assert "note" not in [column[1] for column in old.execute("PRAGMA table_info(trials)")]
    assert count_rows(f"sqlite:///{copy}", "trials") == count_rows(sqlite_url, "trials") == 3
    assert count_rows(f"sqlite:///{copy}", "results") == 2


def test_opening_without_an_upgrade_makes_no_copy(sqlite_file: Path, sqlite_url: str) -> None:
    open_database(sqlite_url).dispose()
    open_database(sqlite_url).dispose()
    assert list(sqlite_file.parent.glob("*.bak")) == []


def test_a_failed_migration_leaves_the_database_unchanged(url: str, next_migrations: Path) -> None:
    engine = open_database(url)
    fill(engine)
    engine.dispose()
    file = next_migrations / "versions" / "9000_note.py"
    file.write_text(file.read_text() + '    raise RuntimeError("half way")\n')
    with pytest.raises(RuntimeError, match="half way"):
        open_database(url, next_migrations)
    assert read_rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
    assert "note" not in read_rows(url, "SELECT * FROM trials")[0]
    assert len(read_rows(url, "SELECT * FROM results")) == 2


@pytest.mark.parametrize(
    "content", [b"This is no database.\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_not_a_database_is_refused_and_left_alone(
    sqlite_file: Path, sqlite_url: str, content: bytes
) -> None:
    sqlite_file.write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"harness\.db.*HARNESS_HOME"):
        open_database(sqlite_url)
    assert sqlite_file.read_bytes() == content


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a regular file")
    with pytest.raises(WorkspaceError, match="HARNESS_HOME"):
        open_database(f"sqlite:///{tmp_path}/file/home/harness.db")


def test_a_folder_in_place_of_the_file_is_refused(sqlite_file: Path, sqlite_url: str) -> None:
    sqlite_file.mkdir()
    with pytest.raises(WorkspaceError, match=r"harness\.db"):
        open_database(sqlite_url)


@pytest.mark.parametrize("url", ["nonsense", "nonsense://here/db"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(WorkspaceError, match="HARNESS_DATABASE_URL"):
        open_database(url)
    with pytest.raises(WorkspaceError, match="HARNESS_DATABASE_URL"):
        open_read_only(url)


def test_a_password_is_never_shown() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/results?connect_timeout=5"
    assert "secret" not in describe_url(url)
    with pytest.raises(WorkspaceError) as refused:
        open_database(url)
    assert "secret" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


@pytest.mark.full
def test_processes_may_open_a_new_database_at_once(tmp_path: Path, postgres_url: str) -> None:
    urls = [*(f"sqlite:///{tmp_path}/{number}/harness.db" for number in range(25)), postgres_url]
    assert run_processes(open_together, [(urls,)] * 3) == [0, 0, 0]
    for url in urls:
        assert read_rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
        assert count_rows(url, "results") == 0
