import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from harness import __version__
from harness.core.comparison import Evidence
from harness.core.errors import RequestError, WorkspaceError
from harness.store.database import open_database, open_read_only, write_transaction
from harness.store.queries import load_named_queries
from harness.store.reading import (
    QueryResult,
    read_correct_images,
    read_evidence,
    read_repeated_cases,
    read_results,
    run_query,
)
from harness.store.rows.cases import CaseRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import metadata
from tests.harness_cli import Cli
from tests.postgres import PostgreSQL
from tests.store.examples import (
    fill,
    make_case,
    make_measurement_from,
    make_outcome,
    make_sweep,
    make_trial,
    read_everything,
    store_trial,
)

ON_EVERY_DATABASE = [
    "INSERT INTO trial_artifacts "
    "SELECT trial_id, artifact, 1, 1, created_at, NULL FROM trial_artifacts",
    "UPDATE trials SET status = 'planned'",
    "DELETE FROM epochs",
    "DROP TABLE runs",
    "DROP VIEW results",
    "ALTER TABLE trials ADD COLUMN mine TEXT",
    "CREATE TABLE mine (id INTEGER)",
    "CREATE TABLE mine AS SELECT * FROM trials",
    "WITH x AS (SELECT 1) DELETE FROM epochs",
    "WITH x AS (SELECT 1) UPDATE trials SET status = 'planned'",
    "SELECT 1; DELETE FROM epochs",
    "COMMIT; DELETE FROM epochs",
    "ROLLBACK; DELETE FROM epochs; COMMIT",
    "DELETE FROM epochs; COMMIT",
    "BEGIN",
    "COMMIT",
    "",
    "-- nothing but a comment",
]
ON_SQLITE = [
    "ATTACH '{file}' AS other",
    "VACUUM INTO '{file}'",
    "VACUUM",
    "REINDEX",
    "ANALYZE",
    "CREATE TEMP TABLE mine AS SELECT * FROM trials",
    "PRAGMA query_only=off",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema=1",
    "PRAGMA user_version=7",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "REPLACE INTO epochs SELECT trial_id, number, 0, 0, 0, 0, 0 FROM epochs",
    "SELECT load_extension('{file}')",
    "BEGIN IMMEDIATE",
]
ON_POSTGRES = [
    "COPY trials TO PROGRAM 'cat > {file}'",
    "COPY (SELECT 'x') TO '{file}'",
    "COPY trials TO STDOUT",
    "COPY epochs FROM PROGRAM 'true'",
    "DO $$ BEGIN DELETE FROM epochs; END $$",
    "DO $$ BEGIN COPY (SELECT 1) TO '{file}'; END $$",
    "WITH gone AS (DELETE FROM epochs RETURNING *) SELECT * FROM gone",
    "SELECT lo_export(lo_from_bytea(0, 'x'), '{file}')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "BEGIN; SET TRANSACTION READ WRITE; DELETE FROM epochs; COMMIT",
    "COMMIT; BEGIN READ WRITE; DELETE FROM epochs; COMMIT",
    "SELECT nextval('runs_id_seq')",
    "EXPLAIN ANALYZE DELETE FROM epochs",
    "PREPARE mine AS DELETE FROM epochs",
    "TRUNCATE epochs CASCADE",
    "ALTER SYSTEM SET work_mem = '8MB'",
    "VACUUM",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_reload_conf()",
]


@pytest.fixture
def filled(engine: Engine) -> Engine:
    fill(engine)
    return engine


@pytest.fixture
def reader(url: str, filled: Engine) -> Iterator[Engine]:
    engine = open_read_only(url)
    yield engine
    engine.dispose()


def assert_refused(reader: Engine, writer: Engine, sql: str) -> None:
    before = read_everything(writer)
    with pytest.raises(RequestError):
        run_query(reader, sql)
    assert read_everything(writer) == before
    assert run_query(reader, "SELECT count(*) AS n FROM epochs").values == (
        (6,),
    )  # the next query runs


@pytest.mark.parametrize("sql", ON_EVERY_DATABASE)
def test_sql_from_people_cannot_write(reader: Engine, filled: Engine, sql: str) -> None:
    assert_refused(reader, filled, sql=sql)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sql", ON_SQLITE)
def test_sql_from_people_cannot_write_to_sqlite(
    reader: Engine, filled: Engine, sql: str, tmp_path: Path
) -> None:
    file = tmp_path / "written-by-sql"
    assert_refused(reader, filled, sql=sql.format(file=file))
    assert not file.exists()


@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.full)], indirect=True)
@pytest.mark.parametrize("sql", ON_POSTGRES)
def test_sql_from_people_cannot_write_to_postgres(
    reader: Engine, filled: Engine, sql: str, postgres: PostgreSQL
) -> None:
    """The user is a superuser, who may write files on the server."""
    file = postgres.folder / "written-by-sql"
    try:
        assert_refused(reader, filled, sql=sql.format(file=file))
        assert not file.exists()
    finally:
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.full)], indirect=True)
def test_the_writes_that_postgres_allows_to_readers_are_rolled_back(
    reader: Engine, filled: Engine
) -> None:
    run_query(reader, "SELECT lo_create(0)")  # version 16 and newer refuse it
    assert run_query(reader, "SELECT count(*) AS n FROM pg_largeobject_metadata").values == ((0,),)


@pytest.mark.full
@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.full)], indirect=True)
def test_a_role_that_may_only_read_can_run_every_query(
    url: str, filled: Engine, tmp_path: Path
) -> None:
    with filled.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE harness_reader LOGIN IN ROLE pg_read_all_data")
    try:
        cli = Cli(tmp_path, {"HARNESS_DATABASE_URL": url.replace("postgres@", "harness_reader@")})
        for arguments in (
            ("query", "leaderboard"),
            ("status",),
            ("report", "--out", tmp_path / "report.html"),
        ):
            ended = cli.run(*arguments)
            assert ended.returncode == 0, ended.stderr
        before = read_everything(filled)
        imported = cli.run("import-published", "db/published/lce_quicknet.csv")
        assert imported.returncode == 2
        assert "You may read the database" in imported.stderr
        assert read_everything(filled) == before
    finally:
        with filled.begin() as connection:
            connection.exec_driver_sql("DROP ROLE harness_reader")


def test_no_setting_of_one_query_helps_the_next_to_write(reader: Engine, filled: Engine) -> None:
    before = read_everything(filled)
    for sql in (*ON_SQLITE, *ON_POSTGRES, *ON_EVERY_DATABASE):
        if "{file}" not in sql:
            with pytest.raises(RequestError):
                run_query(reader, sql)
        with pytest.raises(RequestError):
            run_query(reader, "DELETE FROM epochs")
    assert read_everything(filled) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM trials",
        "  select count(*) from trials;  ",
        "-- how many\nSELECT count(*) FROM trials",
        "/* how many */ SELECT count(*) FROM trials",
        "WITH x AS (SELECT * FROM trials) SELECT count(*) FROM x",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 3) "
        "SELECT count(*) FROM x",
        "(SELECT 3)",
        "VALUES (3)",
    ],
)
def test_every_form_of_a_select_runs(reader: Engine, url: str, sql: str) -> None:
    if sql.startswith("(") and url.startswith("sqlite"):
        with pytest.raises(RequestError):  # SQLite's grammar has no such statement
            run_query(reader, sql)
    else:
        assert run_query(reader, sql).values == ((3,),)


@pytest.mark.full
def test_records_are_keyed_by_column(reader: Engine) -> None:
    answer = run_query(reader, "SELECT id AS trial, status FROM trials WHERE status = 'failed'")
    assert answer.columns == ("trial", "status")
    assert answer.records()[0]["status"] == "failed"
    assert run_query(reader, "SELECT 1 AS one WHERE 1 = 0") == QueryResult(("one",), ())


@pytest.mark.parametrize(
    "literal",
    [
        "50%",
        "%s",
        "%(name)s",
        "%%",
        "12:30",
        ":name",
        "a::b",
        "?",
        "$1",
        "{x}",
        "it''s",
        "µ – ☃",
        "\\n",
        "%b %d",
    ],
)
def test_string_literals_are_not_changed(reader: Engine, literal: str) -> None:
    assert run_query(reader, f"SELECT '{literal}' AS x").values == ((literal.replace("''", "'"),),)


def test_a_percent_sign_is_an_operator_or_a_wildcard(reader: Engine) -> None:
    assert run_query(reader, "SELECT 7 % 4 AS rest").values == ((3,),)
    assert len(run_query(reader, "SELECT * FROM trials WHERE model LIKE 'm%p'").values) == 3


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT FROM WHERE",
        "SELECT * FROM nowhere",
        "SELECT speed FROM trials",
        "SELECT 'open",
        "SELECT :x",
        "SELECT ?",
    ],
)
def test_an_error_in_the_sql_is_reported_in_one_sentence(reader: Engine, sql: str) -> None:
    with pytest.raises(RequestError) as refused:
        run_query(reader, sql)
    message = str(refused.value)
    assert message.startswith("The database rejected this SQL: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert ".." not in message
    assert "psycopg" not in message
    assert "sqlalche.me" not in message


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELECT speed FROM trials"])
def test_an_unknown_name_is_answered_with_a_hint(reader: Engine, sql: str) -> None:
    with pytest.raises(RequestError, match="harness query"):
        run_query(reader, sql)


def test_a_refused_write_is_answered_with_a_hint(reader: Engine) -> None:
    with pytest.raises(RequestError, match="read-only"):
        run_query(reader, "DELETE FROM epochs")


def test_the_evidence_of_a_measurement_is_its_counted_runs(
    url: str, engine: Engine, reader: Engine
) -> None:
    _, outcome = store_trial(engine, seed=1)
    case, other = (make_case(outcome.artifacts[0].sha256, device) for device in ("pi4", "pi5"))
    rows = CaseRows(engine)
    rows.finish(
        "ssh",
        make_measurement_from(
            case, [10.0, 99.0, 12.0], batch="b1", disturbed=[2], facts={"governor": "performance"}
        ),
    )
    rows.finish("ssh", make_measurement_from(other, [20.0, 21.0]))
    by_device = {row["device"]: row["measurement_id"] for row in read_results(reader)}
    assert read_evidence(reader, [by_device["pi4"], by_device["pi5"]]) == {
        by_device["pi4"]: Evidence(
            (10.0, 12.0),
            {("b1", 0): 10.0, ("b1", 2): 12.0},
            facts={"governor": "performance"},
            harness_version=__version__,
        ),
        by_device["pi5"]: Evidence(
            (20.0, 21.0), {}, facts={"machine": "x86_64"}, harness_version=__version__
        ),
    }
    assert read_evidence(reader, []) == {}


def test_all_runs_are_evidence_if_disturbed_ones_had_to_count(engine: Engine) -> None:
    _, outcome = store_trial(engine)
    measurement = make_measurement_from(
        make_case(outcome.artifacts[0].sha256), [10.0, 11.0, 12.0], batch="b1", disturbed=[1, 2]
    )
    all_counted = replace(measurement, summary=replace(measurement.summary, runs=3))
    CaseRows(engine).finish("local", all_counted)
    (row,) = read_results(engine)
    assert read_evidence(engine, [row["measurement_id"]])[row["measurement_id"]].averages_us == (
        10.0,
        11.0,
        12.0,
    )


def test_a_case_is_repeated_if_it_has_several_valid_measurements(
    engine: Engine, reader: Engine
) -> None:
    _, outcome = store_trial(engine, seed=1)
    case, once, elsewhere = (
        replace(make_case(outcome.artifacts[0].sha256, device), cpus=cpus)
        for device, cpus in (("pi4", ()), ("pi4", (2, 3)), ("pi5", ()))
    )
    rows = CaseRows(engine)
    for measured, batch in (
        (case, "b1"),
        (once, "b1"),
        (case, "b2"),
        (once, "b3"),
        (elsewhere, "b4"),
        (elsewhere, "b5"),
    ):
        rows.finish(
            "ssh", make_measurement_from(measured, [10.0, 99.0], batch=batch, disturbed=[2])
        )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE measurements SET valid = false WHERE id IN "
            "(SELECT measurement_id FROM runs WHERE batch = 'b3')"
        )
    (repeated,) = read_repeated_cases(reader, ["pi4"])
    assert (repeated.id, repeated.artifact) == (case.id, case.artifact)
    assert (repeated.device, repeated.threads) == ("pi4", case.protocol.threads)
    assert [dict(evidence.by_block) for evidence in repeated.measurements] == [
        {("b1", 0): 10.0},
        {("b2", 0): 10.0},
    ]
    assert read_repeated_cases(reader, []) == []


def test_results_may_be_limited_to_artifacts_and_devices(engine: Engine, reader: Engine) -> None:
    rows = CaseRows(engine)
    artifacts = []
    for seed, device in ((1, "pi4"), (2, "pi4"), (3, "pi5")):
        _, outcome = store_trial(engine, seed=seed)
        artifacts.append(outcome.artifacts[0].sha256)
        rows.finish("ssh", make_measurement_from(make_case(artifacts[-1], device), [10.0]))
    everything = read_results(reader)
    assert len(everything) == 5
    cases: tuple[dict[str, list[str]], ...] = (
        {"artifacts": artifacts},
        {"artifacts": artifacts[:1]},
        {"artifacts": []},
        {"devices": ["pi4", "here"]},
        {"devices": ["nowhere"]},
        {"artifacts": artifacts, "devices": ["pi5"]},
        {"artifacts": artifacts[:2], "devices": ["pi5"]},
    )
    for limits in cases:
        assert read_results(reader, **limits) == [
            row
            for row in everything
            if row["artifact"] in limits.get("artifacts", [row["artifact"]])
            and row["device"] in limits.get("devices", [row["device"]])
        ]


def test_a_trial_of_two_sweeps_appears_once_in_the_results(engine: Engine, reader: Engine) -> None:
    trial, outcome = store_trial(engine, seed=1)
    TrialRows(engine).submit(make_sweep(trial, name="another"), again=[])
    artifact = outcome.artifacts[0].sha256
    CaseRows(engine).finish("ssh", make_measurement_from(make_case(artifact), [10.0]))
    (row,) = read_results(reader, artifacts=[artifact])
    assert row["sweep"] == "another", "the first by name"


def test_a_query_may_have_any_number_of_values(engine: Engine, reader: Engine) -> None:
    """There are more values than a statement of either database may have parameters."""
    artifact = make_case(make_outcome(make_trial()).artifacts[0].sha256).artifact
    artifacts = [artifact, *(f"{number:064}" for number in range(300_000))]
    (row,) = read_results(reader, artifacts=artifacts, devices=[*artifacts, "here"])
    assert row["artifact"] == artifact
    numbers = range(1, 300_000)
    assert read_evidence(reader, numbers).keys() == {
        row["measurement_id"] for row in read_results(reader)
    }
    assert read_correct_images(reader, artifacts) == {}
    assert CaseRows(engine).filter_binary(artifacts) == {artifact}


def test_a_missing_database_is_reported_with_what_to_do(sqlite_file: Path, sqlite_url: str) -> None:
    with pytest.raises(WorkspaceError, match=r"harness\.db.*harness submit sweep"):
        open_read_only(sqlite_url)
    assert not sqlite_file.exists()


def test_a_database_that_the_server_lacks_is_reported(postgres: PostgreSQL) -> None:
    with pytest.raises(WorkspaceError, match="HARNESS_DATABASE_URL"):
        run_query(open_read_only(postgres.url("nobody_made_this")), "SELECT 1")


def test_a_writer_with_an_open_transaction_blocks_no_reader(url: str) -> None:
    writer, reader = open_database(url), open_read_only(url)
    with write_transaction(writer) as connection:
        connection.execute(
            metadata.tables["artifacts"].insert(),
            [
                {
                    "sha256": "0" * 64,
                    "format": "tflite",
                    "size_bytes": 1,
                    "operators": "{}",
                    "binary_macs": 0,
                    "float_macs": 0,
                    "created_at": "",
                }
            ],
        )
        assert run_query(reader, "SELECT * FROM artifacts").values == ()
    assert len(run_query(reader, "SELECT * FROM artifacts").values) == 1
    writer.dispose()
    reader.dispose()


def test_every_named_query_has_a_purpose_and_meanings() -> None:
    assert {
        "leaderboard",
        "pareto",
        "binary_vs_float",
        "history",
        "failures",
    } <= load_named_queries().keys()
    for query in load_named_queries().values():
        assert query.purpose.endswith(".")
        assert set(re.findall(r"(?<!:):(\w+)", query.sql)) == set(query.parameters), query.name
        assert all(parameter.meaning for parameter in query.parameters.values())
