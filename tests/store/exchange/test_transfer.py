"""Rows and artifacts of one workspace in another: nothing twice, nothing lost, whichever database either has."""

import io
import random
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, update

from harness.core.bench import Case
from harness.core.errors import CaseFailed, Reason, RequestError
from harness.core.ids import sha256_of
from harness.core.published import PublishedLatency
from harness.core.sweep import Precision
from harness.store.database import open_database, write_transaction
from harness.store.exchange.archive import TransferCounts, export_file, import_file
from harness.store.exchange.transfer import (
    LOCAL_TABLES,
    MOVED_TABLES,
    merge,
    open_snapshot,
    select_all,
    select_sweep,
)
from harness.store.files.artifacts import ArtifactFiles
from harness.store.reading import read_results
from harness.store.rows.cases import CaseRows
from harness.store.rows.published import PublishedRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import artifacts, measurements, metadata, runs, trials
from tests.harness_cli import Cli
from tests.store.examples import (
    fill,
    make_case,
    make_measurement,
    make_outcome,
    make_sweep,
    make_trial,
    store_trial,
)

NUMBER = PublishedLatency(
    "QuickNet",
    "binary",
    device="Pixel 1",
    threads=4,
    latency_ms=12.6,
    source="a paper",
    dated=date(2021, 6, 11),
)


@dataclass(frozen=True)
class Place:
    """A database, and the artifact files beside it."""

    engine: Engine
    files: ArtifactFiles

    def export(self, file: Path, sweep: str | None = None) -> TransferCounts:
        return export_file(
            self.engine,
            self.files,
            file=file,
            selection=select_sweep(sweep) if sweep else select_all(),
        )

    def take(self, file: Path) -> TransferCounts:
        return import_file(self.engine, self.files, file=file)


def place(url: str, folder: Path) -> Iterator[Place]:
    engine = open_database(url)
    yield Place(engine, ArtifactFiles(folder))
    engine.dispose()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A SQLite workspace with something in every table."""
    for made in place(
        f"sqlite:///{tmp_path / 'here' / 'harness.db'}", tmp_path / "here" / "artifacts"
    ):
        fill(made.engine)
        for precision in (Precision.BINARY, Precision.FLOAT32):
            outcome = make_outcome(make_trial(precision=precision))
            for content in outcome.files.values():
                sha256 = made.files.save(content)
                made.files.save_probe(sha256, b"a probe")
        PublishedRows(made.engine).add([NUMBER])
        yield made


@pytest.fixture
def there(url: str, tmp_path: Path) -> Iterator[Place]:
    """An empty workspace, on either database."""
    yield from place(url, tmp_path / "there" / "artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.tar.zst"


def content(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that move, by what it is rather than by its number."""
    with engine.connect() as connection:
        told = {
            row["id"]: (row["case_id"], row["measured_at"])
            for row in connection.execute(select(measurements)).mappings()
        }
        return {
            table.name: sorted(
                (
                    tuple(
                        told[value] if name == "measurement_id" else value
                        for name, value in row.items()
                        if name != "id" or table is trials
                    )
                    for row in connection.execute(select(table)).mappings()
                ),
                key=repr,
            )
            for table in MOVED_TABLES
        }


def total(moved: TransferCounts) -> int:
    return sum(moved.rows.values())


def test_every_table_moves_or_stays() -> None:
    assert set(MOVED_TABLES) | LOCAL_TABLES == set(metadata.tables.values())
    assert set(select_all()) == set(MOVED_TABLES)


def test_a_workspace_comes_out_as_it_went_in(here: Place, there: Place, file: Path) -> None:
    out = here.export(file)
    assert all(out.rows.values()), "a table without a row would prove nothing"
    assert (out.files, out.missing) == (2, ())
    taken = there.take(file)
    assert taken.rows == out.rows
    assert taken.files == 2
    assert content(there.engine) == content(here.engine)
    with there.engine.connect() as connection:
        made = list(connection.scalars(select(artifacts.c.sha256)))
    assert [there.files.verify(sha256).read_bytes() for sha256 in made] == [
        here.files.verify(sha256).read_bytes() for sha256 in made
    ]
    assert {there.files.probe(sha256) for sha256 in made} == {b"a probe"}


def test_there_and_back_again_adds_nothing(
    here: Place, there: Place, file: Path, tmp_path: Path
) -> None:
    before = content(here.engine)
    here.export(file)
    there.take(file)
    second = there.take(file)
    assert (total(second), second.files) == (0, 0)
    back = tmp_path / "back.tar.zst"
    there.export(back)
    returned = here.take(back)
    assert (total(returned), returned.files) == (0, 0)
    assert content(here.engine) == before


def test_what_is_of_one_harness_alone_stays(here: Place, there: Place, file: Path) -> None:
    here.export(file)
    there.take(file)
    with here.engine.connect() as old, there.engine.connect() as new:
        for table in LOCAL_TABLES - {metadata.tables["jobs"]}:
            assert old.scalar(select(func.count()).select_from(table)), table.name
        for table in LOCAL_TABLES - {metadata.tables["identity"]}:
            assert new.scalar(select(func.count()).select_from(table)) == 0, table.name


def test_runs_follow_their_measurement_to_its_new_number(
    here: Place, there: Place, file: Path
) -> None:
    _, outcome = store_trial(there.engine, seed=50)
    own = make_case(outcome.artifacts[0].sha256)
    CaseRows(there.engine).finish("local", make_measurement(own, 55.0, processes=3))
    here.export(file)
    there.take(file)
    of_each = (
        select(measurements.c.latency_us, runs.c.avg_us)
        .join(runs, runs.c.measurement_id == measurements.c.id)
        .order_by(measurements.c.id, runs.c.number)
    )
    with there.engine.connect() as connection:
        found = connection.execute(of_each).tuples().all()
    assert found == [(55.0, 55.0)] * 3 + [(100.0, 100.0)] * 2 + [(400.0, 400.0)] * 2


def test_a_trial_that_is_done_there_is_done_here(here: Place, there: Place, file: Path) -> None:
    planned, failed = make_trial(), make_trial(seed=7)
    rows = TrialRows(there.engine)
    rows.submit(make_sweep(planned, failed), [])
    here.export(file)
    assert there.take(file).rows["trials"] == 1
    states = rows.get_states([planned, failed])
    assert states[planned.id].done
    assert states[failed.id].status == "planned", "one that failed elsewhere may be trained here"
    assert len(rows.get_curves([planned])[planned.id]) == 3


def test_a_trial_that_both_have_trained_keeps_its_own_curve(
    here: Place, there: Place, file: Path
) -> None:
    trial = make_trial()
    rows = TrialRows(there.engine)
    rows.submit(make_sweep(trial), [])
    rows.finish(make_outcome(trial, epochs=1))
    here.export(file)
    there.take(file)
    assert len(rows.get_curves([trial])[trial.id]) == 1


def test_a_sweep_alone_takes_what_belongs_to_it(here: Place, there: Place, file: Path) -> None:
    other = make_trial(seed=20)
    outcome = make_outcome(other)
    rows = TrialRows(here.engine)
    rows.submit(make_sweep(other, name="another"), [])
    rows.finish(outcome)
    case = make_case(outcome.artifacts[0].sha256)
    CaseRows(here.engine).finish("local", make_measurement(case, 77.0))
    CaseRows(here.engine).fail(
        replace(case, device="shelf"), "local", CaseFailed(Reason.TIMEOUT, "Too long.", log="log")
    )
    here.export(file, sweep="another")
    taken = there.take(file).rows
    counts = (
        "sweep_trials",
        "trials",
        "epochs",
        "artifacts",
        "cases",
        "measurements",
        "runs",
        "failures",
        "published",
    )
    assert [taken[name] for name in counts] == [1, 1, 3, 1, 2, 1, 2, 1, 0]
    here.export(file, sweep="study")
    assert there.take(file).rows["trials"] == 3


def test_an_artifact_without_its_file_is_told_and_its_rows_go(
    here: Place, there: Place, file: Path
) -> None:
    sha256 = make_outcome(make_trial()).artifacts[0].sha256
    here.files.path(sha256).write_bytes(b"something else")
    out = here.export(file)
    assert (out.files, out.missing) == (1, (sha256,))
    taken = there.take(file)
    assert (taken.rows["artifacts"], taken.files) == (2, 1)


# What two people may do: each in one of two workspaces.
ACTIONS = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["train", "measure", "fail", "publish"]), st.integers(0, 3)
    ),
    max_size=10,
)
_SECONDS = count(1)


def act(engine: Engine, what: str, seed: int) -> None:
    if what == "publish":
        PublishedRows(engine).add([replace(NUMBER, threads=seed + 1)])
        return
    _, outcome = store_trial(engine, seed)
    case = make_case(outcome.artifacts[0].sha256)
    if what == "measure":
        measure(engine, case)
    if what == "fail":
        CaseRows(engine).fail(
            case, "local", CaseFailed(Reason.TIMEOUT, f"No. {next(_SECONDS)}", log="log")
        )


def measure(engine: Engine, case: Case) -> None:
    """At a second of its own, as a device does."""
    minutes, seconds = divmod(next(_SECONDS), 60)
    at = f"2026-01-01T00:{minutes:02}:{seconds:02}.000Z"
    CaseRows(engine).finish("local", replace(make_measurement(case), measured_at=at))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "harness.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ACTIONS)
def test_whatever_two_people_did_both_end_with_all_of_it(
    empty: Path, tmp_path: Path, done: list[tuple[bool, str, int]]
) -> None:
    mine, yours = (tmp_path / f"{name}.db" for name in ("mine", "yours"))
    for copy in (mine, yours):
        copyfile(empty, copy)
    engines = [open_database(f"sqlite:///{copy}") for copy in (mine, yours)]
    for at_mine, what, seed in done:
        act(engines[0] if at_mine else engines[1], what, seed=seed)
    merged(*engines)
    merged(*reversed(engines))
    assert not any(merged(*engines).values())
    assert not any(merged(*reversed(engines)).values())
    assert identities(engines[0]) == identities(engines[1])
    for engine in engines:
        engine.dispose()


def merged(source: Engine, target: Engine) -> dict[str, int]:
    with open_snapshot(source) as rows, write_transaction(target) as into:
        return merge(rows, into, selection=select_all())


def identities(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Of what either may have made for itself (a trial, its artifact) the ids, of what was measured all."""
    told = content(engine)
    whole = {name: told[name] for name in ("measurements", "runs", "failures")}
    with engine.connect() as connection:
        keys = {
            table.name: sorted(connection.execute(select(*table.primary_key)).tuples())
            for table in MOVED_TABLES
            if table.name not in whole and table.name != "published"
        }
    return {**whole, **keys}


def archive_of(file: Path, members: dict[str, bytes]) -> Path:
    """With sums that are right."""
    content = {name: data for name, data in members.items() if name != "SHA256SUMS"}
    sums = "".join(f"{sha256_of(data)}  {name}\n" for name, data in content.items())
    return packed(file, {**content, "SHA256SUMS": sums.encode()})


def packed(file: Path, members: dict[str, bytes]) -> Path:
    with zstandard.open(file, "wb") as out, tarfile.open(fileobj=out, mode="w|") as archive:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return file


def members_of(file: Path) -> dict[str, bytes]:
    with zstandard.open(file, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def test_an_artifact_that_is_not_what_its_name_says_is_refused_whole(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    members = members_of(file)
    name = next(name for name in members if name.endswith(".tflite"))
    archive_of(file, {**members, name: b"something else"})
    with pytest.raises(RequestError, match="does not match its name"):
        there.take(file)
    assert_nothing_of_it_is(there)


@pytest.mark.parametrize("name", ["../../outside.tflite", "artifacts/short.tflite", "notes.txt"])
def test_what_no_export_holds_is_refused(here: Place, there: Place, file: Path, name: str) -> None:
    here.export(file)
    archive_of(file, {**members_of(file), name: b"anything"})
    with pytest.raises(RequestError, match="damaged, or not a file from `harness export`"):
        there.take(file)
    assert not any(content(there.engine).values())


def assert_nothing_of_it_is(there: Place) -> None:
    assert not any(content(there.engine).values())
    assert not list(there.files.path("0" * 64).parents[1].rglob("*.*"))


def test_sums_that_others_can_check(here: Place, file: Path, tmp_path: Path) -> None:
    here.export(file)
    with zstandard.open(file, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        archive.extractall(tmp_path, filter="data")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_file_of_which_a_bit_has_turned_is_refused_or_taken_as_it_was(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    whole, state, refused = file.read_bytes(), content(there.engine), 0
    for bit in random.Random(0).sample(range(8 * len(whole)), 40):
        turned = bytearray(whole)
        turned[bit // 8] ^= 1 << bit % 8
        file.write_bytes(turned)
        try:
            there.take(file)
        except RequestError:
            refused += 1
            assert content(there.engine) == state
        else:
            state = content(here.engine)
            assert content(there.engine) == state
    assert refused


def test_a_tar_that_ends_between_its_files_is_refused(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    members = list(members_of(file).items())
    for end in range(len(members)):
        packed(file, dict(members[:end]))
        with pytest.raises(RequestError, match="damaged, or not"):
            there.take(file)
    assert_nothing_of_it_is(there)


def test_rows_that_do_not_fit_are_refused_in_a_sentence(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    change(file, "UPDATE measurements SET latency_us = 'fast'")
    with pytest.raises(
        RequestError, match=r"cannot import its rows: .*\. Nothing was imported; export it again\.$"
    ):
        there.take(file)
    assert_nothing_of_it_is(there)


def test_a_measurement_that_was_withdrawn_there_counts_no_longer_here(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    there.take(file)
    counted = len(read_results(there.engine))
    with here.engine.begin() as connection:
        one = connection.scalar(select(measurements.c.id).limit(1))
        connection.execute(update(measurements).where(measurements.c.id == one).values(valid=False))
    here.export(file)
    assert total(there.take(file)) == 0
    assert len(read_results(there.engine)) == counted - 1
    assert content(there.engine) == content(here.engine)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_refused(
    here: Place, there: Place, file: Path, share: float
) -> None:
    here.export(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RequestError, match="damaged, or not"):
        there.take(file)
    assert not any(content(there.engine).values())


def test_other_files_are_no_exports(there: Place, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    for file in (text, archive_of(tmp_path / "other.tar.zst", {"harness.db": b"no database"})):
        with pytest.raises(
            RequestError,
            match=f"{file.name}: damaged, or not a file from `harness export`",
        ):
            there.take(file)
    with pytest.raises(RequestError, match=r"missing\.tar\.zst: No such file or directory"):
        there.take(tmp_path / "missing.tar.zst")


def change(file: Path, sql: str) -> None:
    """The rows of an export."""
    members = members_of(file)
    database = file.with_suffix(".db")
    database.write_bytes(members["harness.db"])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(sql)
    archive_of(file, {**members, "harness.db": database.read_bytes()})


def test_an_export_of_a_newer_version_is_refused(here: Place, there: Place, file: Path) -> None:
    here.export(file)
    change(file, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        RequestError, match=r"newer version of the harness \(schema 9999, .*; upgrade the harness"
    ):
        there.take(file)


def test_an_export_of_an_older_version_is_brought_up(
    there: Place, file: Path, repository: Path
) -> None:
    database = file.with_suffix(".db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(
            (repository / "tests" / "data" / "databases" / "0001.sql").read_text()
        )
        expected = connection.execute("SELECT count(*) FROM measurements").fetchone()[0]
    archive_of(file, {"harness.db": database.read_bytes()})
    assert there.take(file).rows["measurements"] == expected > 0


def test_the_commands_say_what_moved(
    cli: Cli, postgres_url: str, tmp_path: Path, repository: Path
) -> None:
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    fill(engine)
    engine.dispose()
    file = tmp_path / "rows.tar.zst"
    out = cli.run("export", file)
    assert out.returncode == 1, "its artifacts have no files"
    assert (
        f"{file}: 3 trials, 2 artifacts, 2 measurements, 3 failures, 0 published numbers; 0 artifact"
        in out.stdout
    )
    assert len(out.stderr.splitlines()) == 2
    other = Cli(tmp_path / "other", {"HARNESS_DATABASE_URL": postgres_url})
    assert "new here 3 trials, 2 artifacts, 2 measurements" in other.run("import", file).stdout
    assert "new here 0 trials, 0 artifacts, 0 measurements" in other.run("import", file).stdout
    numbers = repository / "db" / "published" / "lce_quicknet.csv"
    assert "9 published numbers, 9 new" in other.run("import-published", numbers).stdout
    assert len(other.rows("SELECT * FROM published")) == 9


def test_a_sweep_that_was_never_submitted_is_told(cli: Cli, tmp_path: Path) -> None:
    cli.run("db", "upgrade")
    refused = cli.run("export", tmp_path / "rows.tar.zst", "--sweep", "study")
    assert refused.returncode == 2
    assert refused.stderr == "error: --sweep study: was never submitted; known: none.\n"


def test_where_an_artifact_can_not_be_saved_nothing_is_imported_and_it_is_told(
    here: Place, there: Place, file: Path
) -> None:
    here.export(file)
    folder = there.files.path("0" * 64).parents[1]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in its way")
    with pytest.raises(
        RequestError, match=r"Nothing was imported; check the path and the free space\."
    ):
        there.take(file)
    assert not any(content(there.engine).values())
