"""Exports and imports: nothing is doubled and nothing lost, whichever database either side has."""

import io
import random
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
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
from sqlalchemy import Engine, RowMapping, Table, func, select, update

from harness.core.bench import Case, ModelInput
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
from harness.store.rows.forms import FormRows
from harness.store.rows.published import PublishedRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import artifacts, measurements, metadata, runs, trials
from tests.harness_cli import Cli
from tests.store.examples import (
    fill,
    look_first,
    make_case,
    make_measurement,
    make_outcome,
    make_sweep,
    make_trial,
    store_trial,
)

LATENCY = PublishedLatency(
    "QuickNet",
    "binary",
    device="Pixel 1",
    threads=4,
    latency_ms=12.6,
    source="a paper",
    dated=date(2021, 6, 11),
)


@dataclass(frozen=True)
class Store:
    """A database with its artifact files."""

    engine: Engine
    files: ArtifactFiles

    def export_to(self, file: Path, sweep: str | None = None) -> TransferCounts:
        return export_file(
            self.engine,
            self.files,
            file=file,
            selection=select_sweep(sweep) if sweep else select_all(),
        )

    def import_from(self, file: Path) -> TransferCounts:
        return import_file(self.engine, self.files, file=file)


def open_store(url: str, folder: Path) -> Iterator[Store]:
    engine = open_database(url)
    yield Store(engine, ArtifactFiles(folder))
    engine.dispose()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    """A SQLite workspace with something in every table."""
    url = f"sqlite:///{tmp_path / 'source' / 'harness.db'}"
    for store in open_store(url, tmp_path / "source" / "artifacts"):
        fill(store.engine)
        for precision in (Precision.BINARY, Precision.FLOAT32):
            outcome = make_outcome(make_trial(precision=precision))
            for content in outcome.files.values():
                sha256 = store.files.save(content)
                store.files.save_probe(sha256, b"a probe")
        PublishedRows(store.engine).add([LATENCY])
        yield store


@pytest.fixture
def target(url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty workspace, on either database."""
    yield from open_store(url, tmp_path / "target" / "artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.tar.zst"


def read_moved_tables(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the tables that move, without the numbers that a database gives them."""
    with engine.connect() as connection:
        identities = {
            row["id"]: (row["case_id"], row["measured_at"])
            for row in connection.execute(select(measurements)).mappings()
        }
        tables = {}
        for table in MOVED_TABLES:
            rows = connection.execute(select(table)).mappings()
            tables[table.name] = sorted(
                (_identify_row(table, row, identities=identities) for row in rows), key=repr
            )
        return tables


def _identify_row(
    table: Table, row: RowMapping, identities: Mapping[int, tuple[str, str]]
) -> tuple[Any, ...]:
    return tuple(
        identities[value] if name == "measurement_id" else value
        for name, value in row.items()
        if name != "id" or table is trials
    )


def count_moved(counts: TransferCounts) -> int:
    return sum(counts.rows.values())


def test_every_table_either_moves_or_is_local() -> None:
    assert set(MOVED_TABLES) | LOCAL_TABLES == set(metadata.tables.values())
    assert set(select_all()) == set(MOVED_TABLES)


def test_an_import_equals_what_was_exported(source: Store, target: Store, file: Path) -> None:
    exported = source.export_to(file)
    assert all(exported.rows.values()), "a table without a row would prove nothing"
    assert (exported.files, exported.missing) == (2, ())
    imported = target.import_from(file)
    assert imported.rows == exported.rows
    assert imported.files == 2
    assert read_moved_tables(target.engine) == read_moved_tables(source.engine)
    with target.engine.connect() as connection:
        hashes = list(connection.scalars(select(artifacts.c.sha256)))
    assert [target.files.verify(sha256).read_bytes() for sha256 in hashes] == [
        source.files.verify(sha256).read_bytes() for sha256 in hashes
    ]
    assert {target.files.probe(sha256) for sha256 in hashes} == {b"a probe"}


def test_the_values_of_an_input_move_with_its_measurement(
    source: Store, target: Store, file: Path
) -> None:
    values = source.files.save_values(b"12 bytes of words")
    inputs = (ModelInput("words", (1, 12), values=values),)
    artifact = make_outcome(make_trial()).artifacts[0].sha256
    measure(source.engine, replace(make_case(artifact), inputs=inputs))
    source.export_to(file)
    target.import_from(file)
    assert target.files.find_values(values).read_bytes() == b"12 bytes of words"
    source.files.find_values(values).write_bytes(b"something else")
    source.export_to(file)
    assert target.import_from(file).files == 0, "damaged values are left out"


def test_a_round_trip_adds_nothing(
    source: Store, target: Store, file: Path, tmp_path: Path
) -> None:
    before = read_moved_tables(source.engine)
    source.export_to(file)
    target.import_from(file)
    second = target.import_from(file)
    assert (count_moved(second), second.files) == (0, 0)
    back = tmp_path / "back.tar.zst"
    target.export_to(back)
    returned = source.import_from(back)
    assert (count_moved(returned), returned.files) == (0, 0)
    assert read_moved_tables(source.engine) == before


def test_local_tables_are_not_exported(source: Store, target: Store, file: Path) -> None:
    source.export_to(file)
    target.import_from(file)
    with source.engine.connect() as exporter, target.engine.connect() as importer:
        for table in LOCAL_TABLES - {metadata.tables["jobs"]}:
            assert exporter.scalar(select(func.count()).select_from(table)), table.name
        for table in LOCAL_TABLES - {metadata.tables["identity"]}:
            assert importer.scalar(select(func.count()).select_from(table)) == 0, table.name


def test_runs_follow_their_measurement_to_its_new_number(
    source: Store, target: Store, file: Path
) -> None:
    _, outcome = store_trial(target.engine, seed=50)
    case = make_case(outcome.artifacts[0].sha256)
    CaseRows(target.engine).finish("local", make_measurement(case, 55.0, processes=3))
    source.export_to(file)
    target.import_from(file)
    query = (
        select(measurements.c.latency_us, runs.c.avg_us)
        .join(runs, runs.c.measurement_id == measurements.c.id)
        .order_by(measurements.c.id, runs.c.number)
    )
    with target.engine.connect() as connection:
        latencies = connection.execute(query).all()
    assert latencies == [(55.0, 55.0)] * 3 + [(100.0, 100.0)] * 2 + [(400.0, 400.0)] * 2


def test_a_trial_that_is_done_elsewhere_is_done_here(
    source: Store, target: Store, file: Path
) -> None:
    planned, failed = make_trial(), make_trial(seed=7)
    rows = TrialRows(target.engine)
    rows.submit(make_sweep(planned, failed), [])
    source.export_to(file)
    assert target.import_from(file).rows["trials"] == 1
    states = rows.get_states([planned, failed])
    assert states[planned.id].done
    assert states[failed.id].status == "planned", "one that failed elsewhere may be trained here"
    assert len(rows.get_curves([planned])[planned.id]) == 3


def test_a_trial_that_both_have_trained_keeps_its_curve(
    source: Store, target: Store, file: Path
) -> None:
    trial = make_trial()
    rows = TrialRows(target.engine)
    rows.submit(make_sweep(trial), [])
    rows.finish(make_outcome(trial, epochs=1))
    source.export_to(file)
    target.import_from(file)
    assert len(rows.get_curves([trial])[trial.id]) == 1


def test_the_export_of_a_sweep_has_only_what_belongs_to_it(
    source: Store, target: Store, file: Path
) -> None:
    other = make_trial(seed=20)
    outcome = make_outcome(other)
    rows = TrialRows(source.engine)
    rows.submit(make_sweep(other, name="another"), [])
    rows.finish(outcome)
    case = make_case(outcome.artifacts[0].sha256)
    CaseRows(source.engine).finish("local", make_measurement(case, 77.0))
    CaseRows(source.engine).fail(
        replace(case, device="shelf"),
        "local",
        failure=CaseFailed(Reason.TIMEOUT, "Too long.", log="log"),
    )
    source.export_to(file, sweep="another")
    rows_imported = target.import_from(file).rows
    tables = (
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
    assert [rows_imported[name] for name in tables] == [1, 1, 3, 1, 2, 1, 2, 1, 0]
    source.export_to(file, sweep="study")
    assert target.import_from(file).rows["trials"] == 3


def test_the_export_of_a_sweep_has_the_first_looks_at_its_forms(
    source: Store, target: Store, file: Path
) -> None:
    untrained = look_first(source.engine)
    source.files.save(b"untrained")
    looks = FormRows(source.engine).list_second_looks()
    source.export_to(file, sweep="study")
    target.import_from(file)
    assert len(looks) == 1
    assert FormRows(target.engine).list_second_looks() == looks
    assert target.files.verify(untrained).read_bytes() == b"untrained"


def test_an_artifact_without_its_file_is_reported_and_its_rows_are_exported(
    source: Store, target: Store, file: Path
) -> None:
    sha256 = make_outcome(make_trial()).artifacts[0].sha256
    source.files.path(sha256).write_bytes(b"something else")
    exported = source.export_to(file)
    assert (exported.files, exported.missing) == (1, (sha256,))
    imported = target.import_from(file)
    assert (imported.rows["artifacts"], imported.files) == (2, 1)


# What two people may do, each in one of two workspaces.
ACTIONS = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["train", "measure", "fail", "publish"]), st.integers(0, 3)
    ),
    max_size=10,
)
_SECONDS = count(1)


def act(engine: Engine, action: str, seed: int) -> None:
    if action == "publish":
        PublishedRows(engine).add([replace(LATENCY, threads=seed + 1)])
        return
    _, outcome = store_trial(engine, seed)
    case = make_case(outcome.artifacts[0].sha256)
    if action == "measure":
        measure(engine, case)
    if action == "fail":
        CaseRows(engine).fail(
            case, "local", failure=CaseFailed(Reason.TIMEOUT, f"No. {next(_SECONDS)}", log="log")
        )


def measure(engine: Engine, case: Case) -> None:
    """Store a measurement at a second when there is no other, as a device does."""
    minutes, seconds = divmod(next(_SECONDS), 60)
    at = f"2026-01-01T00:{minutes:02}:{seconds:02}.000Z"
    CaseRows(engine).finish("local", replace(make_measurement(case), measured_at=at))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "harness.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


@pytest.mark.full
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ACTIONS)
def test_whatever_two_people_did_both_end_with_all_of_it(
    empty: Path, tmp_path: Path, actions: list[tuple[bool, str, int]]
) -> None:
    mine, yours = (tmp_path / f"{name}.db" for name in ("mine", "yours"))
    for copy in (mine, yours):
        copyfile(empty, copy)
    engines = [open_database(f"sqlite:///{copy}") for copy in (mine, yours)]
    for is_mine, action, seed in actions:
        act(engines[0] if is_mine else engines[1], action, seed=seed)
    merge_all(*engines)
    merge_all(*reversed(engines))
    assert not any(merge_all(*engines).values())
    assert not any(merge_all(*reversed(engines)).values())
    assert read_identities(engines[0]) == read_identities(engines[1])
    for engine in engines:
        engine.dispose()


def merge_all(source: Engine, target: Engine) -> dict[str, int]:
    with open_snapshot(source) as reader, write_transaction(target) as writer:
        return merge(reader, writer, selection=select_all())


def read_identities(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return the whole rows of measurements, runs and failures, and the keys of all others.

    A trial that both have trained has the same key but other times.
    """
    tables = read_moved_tables(engine)
    whole = {name: tables[name] for name in ("measurements", "runs", "failures")}
    with engine.connect() as connection:
        keys = {
            table.name: sorted(map(tuple, connection.execute(select(*table.primary_key))))
            for table in MOVED_TABLES
            if table.name not in whole and table.name != "published"
        }
    return {**whole, **keys}


def write_archive(file: Path, members: dict[str, bytes]) -> Path:
    """Write an archive whose sums are correct."""
    content = {name: data for name, data in members.items() if name != "SHA256SUMS"}
    sums = "".join(f"{sha256_of(data)}  {name}\n" for name, data in content.items())
    return write_members(file, {**content, "SHA256SUMS": sums.encode()})


def write_members(file: Path, members: dict[str, bytes]) -> Path:
    with zstandard.open(file, "wb") as out, tarfile.open(fileobj=out, mode="w|") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def read_members(file: Path) -> dict[str, bytes]:
    with zstandard.open(file, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def test_an_export_with_a_changed_artifact_is_refused_whole(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    members = read_members(file)
    name = next(name for name in members if name.endswith(".tflite"))
    write_archive(file, {**members, name: b"something else"})
    with pytest.raises(RequestError, match="does not match its name"):
        target.import_from(file)
    assert_empty(target)


@pytest.mark.parametrize("name", ["../../outside.tflite", "artifacts/short.tflite", "notes.txt"])
def test_unknown_members_are_refused(source: Store, target: Store, file: Path, name: str) -> None:
    source.export_to(file)
    write_archive(file, {**read_members(file), name: b"anything"})
    with pytest.raises(RequestError, match="damaged, or not a file from `harness export`"):
        target.import_from(file)
    assert not any(read_moved_tables(target.engine).values())


def assert_empty(target: Store) -> None:
    assert not any(read_moved_tables(target.engine).values())
    assert not list(target.files.path("0" * 64).parents[1].rglob("*.*"))


def test_sha256sum_can_check_the_sums(source: Store, file: Path, tmp_path: Path) -> None:
    source.export_to(file)
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
def test_a_file_with_a_flipped_bit_is_refused_or_imported_unchanged(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    content, state, refused = file.read_bytes(), read_moved_tables(target.engine), 0
    for bit in random.Random(0).sample(range(8 * len(content)), 40):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            target.import_from(file)
        except RequestError:
            refused += 1
            assert read_moved_tables(target.engine) == state
        else:
            state = read_moved_tables(source.engine)
            assert read_moved_tables(target.engine) == state
    assert refused


def test_a_tar_that_ends_between_its_files_is_refused(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    members = list(read_members(file).items())
    for end in range(len(members)):
        write_members(file, dict(members[:end]))
        with pytest.raises(RequestError, match="damaged, or not"):
            target.import_from(file)
    assert_empty(target)


def test_rows_of_a_wrong_type_are_refused_in_one_sentence(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    change(file, "UPDATE measurements SET latency_us = 'fast'")
    with pytest.raises(
        RequestError, match=r"cannot import its rows: .*\. Nothing was imported; export it again\.$"
    ):
        target.import_from(file)
    assert_empty(target)


@pytest.mark.full
def test_a_measurement_that_was_withdrawn_elsewhere_no_longer_counts_here(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    target.import_from(file)
    counted = len(read_results(target.engine))
    with source.engine.begin() as connection:
        first = select(func.min(measurements.c.id)).scalar_subquery()
        connection.execute(
            update(measurements).where(measurements.c.id == first).values(valid=False)
        )
    source.export_to(file)
    assert count_moved(target.import_from(file)) == 0
    assert len(read_results(target.engine)) == counted - 1
    assert read_moved_tables(target.engine) == read_moved_tables(source.engine)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(
    source: Store, target: Store, file: Path, share: float
) -> None:
    source.export_to(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RequestError, match="damaged, or not"):
        target.import_from(file)
    assert not any(read_moved_tables(target.engine).values())


def test_other_files_are_refused(target: Store, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    for file in (text, write_archive(tmp_path / "other.tar.zst", {"harness.db": b"no database"})):
        with pytest.raises(
            RequestError,
            match=f"{file.name}: damaged, or not a file from `harness export`",
        ):
            target.import_from(file)
    with pytest.raises(RequestError, match=r"missing\.tar\.zst: No such file or directory"):
        target.import_from(tmp_path / "missing.tar.zst")


def change(file: Path, sql: str) -> None:
    """Change the rows of an export."""
    members = read_members(file)
    database = file.with_suffix(".db")
    database.write_bytes(members["harness.db"])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(sql)
    write_archive(file, {**members, "harness.db": database.read_bytes()})


def test_an_export_of_a_newer_version_is_refused(source: Store, target: Store, file: Path) -> None:
    source.export_to(file)
    change(file, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        RequestError, match=r"newer version of the harness \(schema 9999, .*; upgrade the harness"
    ):
        target.import_from(file)


def test_an_export_of_an_older_version_is_upgraded(
    target: Store, file: Path, repository: Path
) -> None:
    database = file.with_suffix(".db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(
            (repository / "tests" / "data" / "databases" / "0001.sql").read_text()
        )
        expected = connection.execute("SELECT count(*) FROM measurements").fetchone()[0]
    write_archive(file, {"harness.db": database.read_bytes()})
    assert target.import_from(file).rows["measurements"] == expected > 0


@pytest.mark.full
def test_the_commands_report_what_moved(
    cli: Cli, postgres_url: str, tmp_path: Path, repository: Path
) -> None:
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    fill(engine)
    engine.dispose()
    file = tmp_path / "rows.tar.zst"
    ended = cli.run("export", file)
    assert ended.returncode == 1, "its artifacts have no files"
    counts = "3 trials, 2 artifacts, 2 measurements, 3 failures, 0 published numbers"
    assert f"{file}: {counts}; 0 artifact" in ended.stdout
    assert len(ended.stderr.splitlines()) == 2
    other = Cli(tmp_path / "other", {"HARNESS_DATABASE_URL": postgres_url})
    assert "added 3 trials, 2 artifacts, 2 measurements" in other.run("import", file).stdout
    assert "added 0 trials, 0 artifacts, 0 measurements" in other.run("import", file).stdout
    numbers = repository / "db" / "published" / "lce_quicknet.csv"
    assert "9 published numbers, 9 new" in other.run("import-published", numbers).stdout
    assert len(other.query("SELECT * FROM published")) == 9


def test_an_unknown_sweep_is_refused(cli: Cli, tmp_path: Path) -> None:
    cli.run("db", "upgrade")
    refused = cli.run("export", tmp_path / "rows.tar.zst", "--sweep", "study")
    assert refused.returncode == 2
    assert refused.stderr == "error: --sweep study: unknown sweep; this workspace has none yet.\n"


def test_an_artifact_that_cannot_be_saved_stops_the_import(
    source: Store, target: Store, file: Path
) -> None:
    source.export_to(file)
    folder = target.files.path("0" * 64).parents[1]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file in the way")
    with pytest.raises(RequestError, match=r"Not a directory.*Nothing was imported\."):
        target.import_from(file)
    assert not any(read_moved_tables(target.engine).values())
