import json
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from harness import __version__
from harness.core.bench import Case
from harness.core.errors import CaseFailed, Reason
from harness.store.reading import read_results, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.trials import TrialRows
from harness.store.rows.values import decompress_text
from tests.store.examples import (
    TOOL,
    make_artifact,
    make_case,
    make_measurement,
    make_outcome,
    make_sweep,
    make_trial,
    run_named_query,
    store_trial,
)

TIMEOUT = CaseFailed(
    Reason.TIMEOUT,
    "python3 was still running after 5 s on here and was ended.",
    log="STARTING!\nµ\n",
)


@pytest.fixture
def rows(engine: Engine) -> CaseRows:
    return CaseRows(engine)


@pytest.fixture
def case(engine: Engine) -> Case:
    """A case of an artifact from a stored trial."""
    _, outcome = store_trial(engine)
    return make_case(outcome.artifacts[0].sha256)


def records(engine: Engine, sql: str) -> list[dict[str, Any]]:
    return run_query(engine, sql).records()


def invalidate(engine: Engine, latency_us: float) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE measurements SET valid = false WHERE latency_us = :us"), {"us": latency_us}
        )


def test_a_measurement_is_stored_with_all_its_columns(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    measurement = make_measurement(case)
    rows.finish("local", measurement)
    (stored_case,) = records(engine, "SELECT * FROM cases")
    expected = {
        "id": case.id,
        "artifact": case.artifact,
        "device": "here",
        "device_kind": "local",
        "tool": TOOL.name,
        "tool_sha256": TOOL.sha256,
        "interpreter": TOOL.interpreter,
        "protocol": "quick",
        "threads": 1,
    }
    assert {name: stored_case[name] for name in expected} == expected
    assert json.loads(stored_case["protocol_settings"])["num_runs"] == case.protocol.num_runs
    (stored,) = records(engine, "SELECT * FROM measurements")
    assert (stored["latency_us"], stored["latency_low_us"], stored["latency_high_us"]) == (
        100.0,
        99.0,
        101.0,
    )
    assert (stored["runs"], stored["peak_memory_bytes"], stored["quality"]) == (2, 5_000_000, "ok")
    assert (stored["case_id"], stored["artifact_run"]) == (case.id, case.artifact)
    assert (stored["measured_at"], stored["harness_version"]) == (
        measurement.measured_at,
        __version__,
    )
    assert json.loads(stored["facts"]) == {"machine": "x86_64"}
    assert stored["valid"]
    assert stored["energy_uj"] is None


def test_every_run_is_stored_with_its_raw_log(rows: CaseRows, case: Case, engine: Engine) -> None:
    measurement = make_measurement(case, processes=6)
    rows.finish("local", measurement)
    stored = records(engine, "SELECT * FROM runs ORDER BY number")
    assert [row["number"] for row in stored] == [1, 2, 3, 4, 5, 6]
    assert [decompress_text(row["stdout_zstd"]) for row in stored] == [
        run.process.stdout for run in measurement.runs
    ]
    assert {decompress_text(row["stderr_zstd"]) for row in stored} == {""}
    first = stored[0]
    assert (first["count"], first["first_us"], first["min_us"], first["max_us"]) == (
        20,
        103.0,
        98.0,
        105.0,
    )
    assert (first["avg_us"], first["std_us"], first["init_us"], first["warmup_avg_us"]) == (
        100.0,
        1.5,
        321.0,
        150.0,
    )
    assert (first["peak_memory_bytes"], first["seconds"], first["exit_code"]) == (
        4_000_001,
        0.75,
        0,
    )


def test_a_row_of_results_joins_trial_artifact_and_device(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    rows.finish("local", make_measurement(case))
    (row,) = read_results(engine)
    expected = {
        "sweep": "study",
        "trial": make_trial().id,
        "model": "mlp",
        "precision": "binary",
        "dataset": "digits",
        "seed": 0,
        "params": 12_938,
        "accuracy": 0.9,
        "artifact": case.artifact,
        "format": "tflite",
        "size_bytes": 160,
        "binary_macs": 8832,
        "float_macs": 4096,
        "device": "here",
        "device_kind": "local",
        "tool": "python_runner",
        "threads": 1,
        "latency_us": 100.0,
        "latency_low_us": 99.0,
        "latency_high_us": 101.0,
        "runs": 2,
        "peak_memory_bytes": 5_000_000,
        "energy_uj": None,
        "quality": "ok",
    }
    assert {name: row[name] for name in expected} == expected


def test_a_second_measurement_replaces_the_first_in_results_but_not_in_history(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    rows.finish("local", make_measurement(case, 100.0))
    rows.finish("local", make_measurement(case, 90.0))
    assert [row["latency_us"] for row in read_results(engine)] == [90.0]
    assert [row["latency_us"] for row in run_named_query(engine, "history").records()] == [
        90.0,
        100.0,
    ]
    assert len(records(engine, "SELECT * FROM cases")) == 1
    assert len(records(engine, "SELECT * FROM runs")) == 4


def test_results_shows_the_newest_valid_measurement(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    rows.finish("local", make_measurement(case, 100.0))
    rows.finish("local", make_measurement(case, 5.0))
    invalidate(engine, 5.0)
    assert [row["latency_us"] for row in read_results(engine)] == [100.0]
    history = run_named_query(engine, "history").records()
    assert [(row["latency_us"], bool(row["valid"])) for row in history] == [
        (5.0, False),
        (100.0, True),
    ]
    invalidate(engine, 100.0)
    assert read_results(engine) == []


def test_measured_cases_are_those_with_a_valid_measurement(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    on_shelf, failed = make_case(case.artifact, "shelf"), make_case(case.artifact, "lab")
    devices, artifacts = ["here", "shelf", "lab"], [case.artifact]
    assert rows.get_first_measurements(devices, artifacts) == {}
    for measured, latency_us in ((case, 100.0), (on_shelf, 200.0), (case, 110.0)):
        rows.finish("local", make_measurement(measured, latency_us))
    rows.fail(failed, "local", failure=TIMEOUT)
    first = rows.get_first_measurements(devices, artifacts)
    assert sorted(first, key=lambda id: first[id]) == [case.id, on_shelf.id]
    assert rows.get_first_measurements(["here"], artifacts).keys() == {case.id}
    for latency_us in (100.0, 200.0):
        invalidate(engine, latency_us)
    later = rows.get_first_measurements(devices, artifacts)
    assert later.keys() == {case.id}
    assert later[case.id] > first[on_shelf.id]
    assert rows.get_first_measurements([], artifacts) == {}
    assert rows.get_first_measurements(devices, ["f" * 64]) == {}


def test_a_measurement_is_stored_with_its_runs_or_not_at_all(
    rows: CaseRows, engine: Engine
) -> None:
    with pytest.raises(IntegrityError):
        rows.finish("local", make_measurement(make_case("0" * 64)))  # an unknown artifact
    for table in ("cases", "measurements", "runs"):
        assert records(engine, f"SELECT * FROM {table}") == []


def test_a_failed_case_keeps_its_reason_and_log(rows: CaseRows, case: Case, engine: Engine) -> None:
    rows.fail(case, "local", failure=TIMEOUT)
    (row,) = records(engine, "SELECT * FROM failures")
    assert (row["case_id"], row["trial_id"]) == (case.id, None)
    assert (row["reason"], row["message"]) == ("timeout", str(TIMEOUT))
    assert decompress_text(row["log_zstd"]) == TIMEOUT.log
    assert read_results(engine) == []


def test_the_query_failures_lists_a_case_until_it_is_measured(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    rows.fail(case, "local", failure=TIMEOUT)
    rows.fail(case, "local", failure=CaseFailed(Reason.CRASHED, "The tool crashed (SIGSEGV)."))
    assert [
        (row["id"], row["reason"]) for row in run_named_query(engine, "failures").records()
    ] == [(case.id, "crashed")]
    measurement = make_measurement(case)
    rows.finish("local", measurement)
    # Make the failures earlier than the measurement, whatever the clock's resolution.
    with engine.begin() as connection:
        connection.execute(text("UPDATE failures SET failed_at = '2026-01-01T00:00:00.000Z'"))
    assert run_named_query(engine, "failures").values == ()
    assert len(records(engine, "SELECT * FROM failures")) == 2


def test_a_users_model_file_is_measured_without_a_trial(rows: CaseRows, engine: Engine) -> None:
    artifact = make_artifact(b"own model", accuracy=None, agreement=None)
    TrialRows(engine).add_artifact(artifact, "mobilenet.tflite")
    rows.finish("local", make_measurement(make_case(artifact.sha256)))
    (row,) = read_results(engine)
    assert (row["file"], row["artifact"], row["latency_us"]) == (
        "mobilenet.tflite",
        artifact.sha256,
        100.0,
    )
    assert row["trial"] is row["sweep"] is row["accuracy"] is row["precision"] is None


def test_bytes_that_two_trials_produced_are_measured_once_for_both(
    rows: CaseRows, engine: Engine
) -> None:
    trials = [make_trial(1), make_trial(2)]
    TrialRows(engine).submit(make_sweep(*trials), again=[])
    for trial in trials:
        TrialRows(engine).finish(make_outcome(trial, b"the same bytes"))
    rows.finish("local", make_measurement(make_case(make_artifact(b"the same bytes").sha256)))
    assert {row["trial"] for row in read_results(engine)} == {trial.id for trial in trials}
    assert len(records(engine, "SELECT * FROM measurements")) == 1


def test_results_may_be_limited_to_some_artifacts(
    rows: CaseRows, case: Case, engine: Engine
) -> None:
    _, other = store_trial(engine, seed=1)
    sha256 = other.artifacts[0].sha256
    rows.finish("local", make_measurement(case))
    rows.finish("local", make_measurement(make_case(sha256)))
    assert len(read_results(engine)) == 2
    assert [row["artifact"] for row in read_results(engine, artifacts=[sha256])] == [sha256]
    assert read_results(engine, artifacts=[]) == []


@pytest.mark.parametrize("model_file", ["mine.tflite", "50%_done.tflite"])
def test_results_may_be_limited_to_what_a_comparison_selects(
    rows: CaseRows, case: Case, engine: Engine, model_file: str
) -> None:
    rows.finish("local", make_measurement(case))
    theirs = make_artifact(b"own model", accuracy=None, agreement=None)
    TrialRows(engine).add_artifact(theirs, model_file)
    rows.finish("local", make_measurement(make_case(theirs.sha256)))

    def select(*selectors: str) -> set[str]:
        return {row["artifact"] for row in read_results(engine, selectors=selectors)}

    assert select("binary") == select(make_trial().id[:6]) == select(case.artifact[:6])
    assert select("binary") == {case.artifact}
    assert select(model_file) == select(theirs.sha256[:8]) == {theirs.sha256}
    assert select("binary", model_file) == {case.artifact, theirs.sha256}
    assert select("float32") == select("%%%%") == select("____") == select() == set()


def test_a_message_with_any_character_is_stored(rows: CaseRows, case: Case, engine: Engine) -> None:
    """A tool that crashed may have printed anything, and the message quotes its first words."""
    message = "The tool failed: \0\0 \udcff\ud800 garbage"
    rows.fail(case, "local", failure=CaseFailed(Reason.CRASHED, message, log=message))
    (row,) = records(engine, "SELECT message FROM failures")
    assert row["message"].endswith("garbage")
