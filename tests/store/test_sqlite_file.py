"""A SQLite file is whole when a command has ended, and can be read wherever it lies."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from harness.core.device import LocalDevice
from harness.core.errors import WorkspaceError
from harness.report import results
from harness.store import sqlite_file
from harness.store.database import close_database, open_database, open_upgraded
from harness.store.files.workspace import Workspace, sqlite_url
from harness.store.reading import run_query
from harness.store.rows.devices import DeviceRows
from tests.harness_cli import BARE, COMMAND, Cli
from tests.store.examples import fill
from tests.store.media import leave_as_killed, run_read_only, suffixed
from tests.waiting import wait_until

ODD_NAMES = (
    "run?1",
    "run?2",
    "a%20b",
    "a b",
    "a#b",
    "a'b\"c",
    "a\nb",
    "größe №1",
    ":memory:",
    "-dash",
    "x://y",
    "%(here)s",
    "a;b&c=d",
    "file:x?mode=memory",
    "$HOME",
    "~",
)


@pytest.fixture
def file(tmp_path: Path, sqlite_template: Path) -> Path:
    """A database file in a workspace of its own."""
    home = tmp_path / "workspace"
    home.mkdir()
    shutil.copy(sqlite_template, home / "harness.db")
    return home / "harness.db"


def count_in_copy(file: Path, table: str, folder: Path) -> int:
    """Count the rows in a copy of the file alone, as `cp` or a mail makes one."""
    copy = folder / "copy.db"
    shutil.copy(file, copy)
    with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_closed_database_is_one_file(file: Path, tmp_path: Path) -> None:
    engine = open_database(sqlite_url(file))
    fill(engine)
    close_database(engine)
    assert count_in_copy(file, "results", folder=tmp_path) == 2
    assert not suffixed(file, "-wal").exists()


def test_a_closed_database_is_whole_while_others_are_connected(file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as other:
        other.execute("SELECT count(*) FROM trials").fetchall()
        engine = open_database(sqlite_url(file))
        fill(engine)
        close_database(engine)
        assert count_in_copy(file, "results", folder=tmp_path) == 2


def test_what_a_reader_held_back_is_folded_in_by_the_next_command(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_FOLD_MS", 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM trials").fetchall()
        engine = open_database(sqlite_url(file))
        fill(engine)
        close_database(engine)
        assert suffixed(file, "-wal").stat().st_size > 0
    close_database(open_upgraded(sqlite_url(file)))
    assert count_in_copy(file, "results", folder=tmp_path) == 2


def test_a_reader_folds_in_what_a_killed_writer_left(file: Path, tmp_path: Path) -> None:
    leave_as_killed(file)
    assert count_in_copy(file, "devices", folder=tmp_path) == 0
    reader = open_upgraded(sqlite_url(file))
    assert run_query(reader, "SELECT id FROM devices").values == (("late",),)
    close_database(reader)
    assert count_in_copy(file, "devices", folder=tmp_path) == 1
    assert not suffixed(file, "-wal").exists()


def test_a_missing_database_is_not_created_by_closing(tmp_path: Path, file: Path) -> None:
    engine = open_database(sqlite_url(file))
    engine.dispose()
    shutil.rmtree(file.parent)
    close_database(engine)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_is_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / name / "home"))
    engine = open_database(Workspace.from_environment().database_url)
    DeviceRows(engine).mark_ready(LocalDevice(id="pi4"), {})
    close_database(engine)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {
        tmp_path / name / "home" / file for file in ("harness.db", "harness.db.lock")
    }
    reader = open_upgraded(Workspace.from_environment().database_url)
    assert run_query(reader, "SELECT id FROM devices").values == (("pi4",),)
    close_database(reader)
    assert len(results(tmp_path / name / "home")) == 0
    assert len(results(str(tmp_path / name / "home" / "harness.db"))) == 0


@pytest.mark.parametrize("log", ["none", "with its index", "without its index"])
def test_a_read_only_workspace_is_read_with_the_rows_of_its_log(
    file: Path, cli: Cli, log: str
) -> None:
    if log != "none":
        leave_as_killed(file, with_index=log == "with its index")
    before = sorted(path.name for path in file.parent.iterdir())
    ended = run_read_only(
        [*COMMAND, "query", "SELECT id FROM devices", "--format", "csv"],
        file.parent,
        environment=cli.environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["id", *([] if log == "none" else ["late"])]
    assert sorted(path.name for path in file.parent.iterdir()) == before


@pytest.mark.full
@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("query", "pareto"),
        ("compare", "float32", "binary"),
        ("report", "--out", "{folder}/report.html"),
        ("export", "{folder}/rows.tar.zst"),
        ("devices", "list"),
        ("db", "upgrade"),
    ],
    ids=" ".join,
)
def test_commands_that_only_read_need_no_writable_workspace(
    file: Path, cli: Cli, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    engine = open_database(sqlite_url(file))
    fill(engine)
    close_database(engine)
    words = [word.format(folder=tmp_path) for word in arguments]
    ended = run_read_only([*COMMAND, *words], file.parent, environment=cli.environment)
    assert ended.returncode in ((0, 1) if words[0] == "export" else (0,)), ended.stderr


@pytest.mark.full
@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["bench", "dry run"])
def test_a_bench_says_that_a_workspace_may_only_be_read(
    file: Path, cli: Cli, options: tuple[str, ...], repository: Path
) -> None:
    model = repository / "harness" / "bench" / "canaries" / "float.tflite"
    ended = run_read_only(
        [*COMMAND, "bench", str(model), *options], file.parent, environment=cli.environment
    )
    assert ended.returncode == 2
    assert re.fullmatch(r"error: .* (may read|cannot be written).*\.\n", ended.stderr)


def test_a_read_only_database_of_an_older_version_is_refused_in_a_sentence(
    file: Path, cli: Cli
) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    ended = run_read_only([*COMMAND, "query", "pareto"], file.parent, environment=cli.environment)
    assert ended.returncode == 2
    assert "has an older schema (0001; this version reads " in ended.stderr
    assert "copy it to a folder where it can be upgraded" in ended.stderr


def test_a_workspace_in_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be created"):
        open_database(sqlite_url(tmp_path / "file" / "harness.db"))


@pytest.mark.full
def test_paths_may_have_bytes_that_are_not_text(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"caf\xe9 %20?")
    model = tmp_path / os.fsdecode(b"mod\xe8le.tflite")
    shutil.copy(repository / "harness" / "bench" / "canaries" / "float.tflite", model)
    cli = Cli(home)
    ended = cli.run("bench", model, "--protocol", BARE)
    assert ended.returncode == 0, ended.stderr
    assert [row["name"] for row in cli.rows("SELECT name FROM artifacts")] == ["mod\ufffdle.tflite"]
    assert count_in_copy(home / "harness.db", "results", folder=tmp_path) == 1
    strict = cli.environment | {"PYTHONIOENCODING": "utf-8:strict"}  # as in most UTF-8 locales
    printed = subprocess.run([*COMMAND, "db", "path"], env=strict, capture_output=True, check=True)
    assert printed.stdout == os.fsencode(home / "harness.db") + b"\n"


@pytest.mark.full
def test_a_bench_that_is_interrupted_leaves_one_file(
    cli: Cli, repository: Path, tmp_path: Path
) -> None:
    model = repository / "harness" / "bench" / "canaries" / "float.tflite"
    arguments = ("bench", model, "--protocol", f"{BARE},processes=200,max_processes=200")
    log = cli.home / "harness.db-wal"

    def has_run() -> bool:
        with suppress(sqlite3.OperationalError):  # the file or the table does not exist yet
            return bool(cli.rows("SELECT 1 FROM pending_runs LIMIT 1"))
        return False

    process = cli.start(*arguments)
    wait_until(has_run, "a run")
    assert log.exists()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert not log.exists()
    assert count_in_copy(cli.home / "harness.db", "pending_runs", folder=tmp_path) > 0
