from dataclasses import replace
from datetime import date
from itertools import chain
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine

from harness.core.errors import Reason
from harness.core.published import PublishedLatency
from harness.core.quality import Warning, format_quality, parse_quality
from harness.core.sweep import Artifact, Failure, Precision
from harness.store.database import write_transaction
from harness.store.queries import load_named_queries
from harness.store.reading import read_correct_images, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.published import PublishedRows
from harness.store.rows.trials import DONE, FAILED, PLANNED, TrialRows, TrialState
from harness.store.rows.values import decompress_text
from harness.store.tables import trials as trials_table
from tests.store.examples import (
    EPOCHS,
    fill,
    look_first,
    make_artifact,
    make_case,
    make_measurement,
    make_outcome,
    make_sweep,
    make_trial,
    run_named_query,
    store_trial,
)

DIVERGED = Failure(
    Reason.DIVERGED,
    "The loss became nan in epoch 2; lower train.learning_rate.",
    log="epoch 1\nepoch 2 µ\n",
)

RESULTS = "SELECT trial, quality FROM results"
REQUIRED = [column.name for column in trials_table.columns if not column.nullable]


@pytest.fixture
def rows(engine: Engine) -> TrialRows:
    return TrialRows(engine)


def records(engine: Engine, sql: str) -> list[dict[str, Any]]:
    return run_query(engine, sql).records()


def test_a_trial_has_no_state_before_it_is_submitted(rows: TrialRows) -> None:
    assert rows.get_states([make_trial()]) == {}
    assert rows.get_states([]) == {}
    assert rows.list_sweeps() == []


def test_submitted_trials_are_planned(rows: TrialRows) -> None:
    trials = [make_trial(seed) for seed in range(3)]
    rows.submit(make_sweep(*trials), again=[])
    assert rows.get_states(trials) == {trial.id: TrialState(PLANNED, {}) for trial in trials}
    assert rows.get_states([trials[0], make_trial(99)]).keys() == {trials[0].id}


def test_submitting_again_changes_nothing(rows: TrialRows, engine: Engine) -> None:
    trial, outcome = store_trial(engine)
    rows.submit(make_sweep(trial), again=[])
    assert rows.get_states([trial]) == {
        trial.id: TrialState(DONE, {"tflite": outcome.artifacts[0].sha256})
    }
    assert len(records(engine, "SELECT * FROM trials")) == 1
    assert len(records(engine, "SELECT * FROM sweep_trials")) == 1


def test_a_trial_that_runs_again_is_planned_until_it_finishes(
    rows: TrialRows, engine: Engine
) -> None:
    trial, outcome = store_trial(engine)
    rows.submit(make_sweep(trial), again=[trial])
    assert rows.get_states([trial])[trial.id].status == PLANNED
    rows.finish(outcome)
    assert rows.get_states([trial])[trial.id].status == DONE


def test_two_sweeps_share_a_trial(rows: TrialRows, engine: Engine) -> None:
    trial, outcome = store_trial(engine)
    rows.submit(make_sweep(trial, make_trial(1), name="other"), again=[])
    assert rows.list_sweeps() == ["other", "study"]
    assert (
        rows.get_sweep_artifacts("other")
        == rows.get_sweep_artifacts("study")
        == [outcome.artifacts[0].sha256]
    )
    assert rows.get_sweep_artifacts("nobody's") == []


def test_a_finished_trial_is_stored_with_all_its_columns(rows: TrialRows, engine: Engine) -> None:
    trial, outcome = store_trial(engine)
    (row,) = records(engine, "SELECT * FROM trials")
    assert row["finished_at"] >= row["submitted_at"]
    expected = {
        "id": trial.id,
        "twin": trial.twin,
        "sweep": "study",
        "model": "mlp",
        "parameters": '{"layers": 3, "units": 64}',
        "precision": "binary",
        "dataset": "digits",
        "seed": 0,
        "status": DONE,
        "reason": None,
        "message": None,
        "accuracy": 0.91,
        "params": 12_938,
        "node": "node-1",
        "processors": "CPU",
        "versions": '{"tensorflow": "2.21.0"}',
        "quality": "ok",
        "waiting_s": 1.0,
        "import_s": 2.0,
        "data_s": 3.0,
        "fit_s": 4.0,
        "convert_s": 5.0,
        "evaluate_s": 6.0,
    }
    assert {name: row[name] for name in expected} == expected
    (artifact,) = records(
        engine, "SELECT * FROM artifacts JOIN trial_artifacts ON artifact = sha256"
    )
    expected_artifact = outcome.artifacts[0]
    assert artifact["sha256"] == expected_artifact.sha256
    assert artifact["size_bytes"] == expected_artifact.size_bytes
    assert (artifact["binary_macs"], artifact["float_macs"]) == (8832, 4096)
    assert artifact["operators"] == '{"CONV_2D": 1, "LceBconv2d": 3}'
    assert (artifact["trial_id"], artifact["accuracy"], artifact["agreement"]) == (
        trial.id,
        0.9,
        1.0,
    )


def test_the_correct_images_are_stored_with_the_trial(rows: TrialRows, engine: Engine) -> None:
    bits = b"\x00\x00\x00\x09\xfe\x80"
    with_bits, without_bits = make_trial(1), make_trial(2)
    rows.submit(make_sweep(with_bits, without_bits), again=[])
    rows.finish(make_outcome(with_bits, b"the same bytes", correct=bits))
    rows.finish(make_outcome(without_bits, b"the same bytes"))
    sha256 = make_artifact(b"the same bytes").sha256
    assert read_correct_images(engine, [sha256, "0" * 64]) == {(with_bits.id, sha256): bits}
    assert read_correct_images(engine, []) == {}


def test_a_curve_has_a_row_for_each_epoch(engine: Engine) -> None:
    trial, _ = store_trial(engine)
    curve = records(engine, "SELECT * FROM epochs ORDER BY number")
    assert [row["number"] for row in curve] == [1, 2, 3]
    assert [row["loss"] for row in curve] == [1.0, 1 / 2, 1 / 3]
    assert {row["trial_id"] for row in curve} == {trial.id}
    assert curve[1]["validation_loss"] == 1.1 / 2
    assert curve[1]["validation_accuracy"] is None


def test_finishing_a_trial_twice_stores_nothing_twice(rows: TrialRows, engine: Engine) -> None:
    _, outcome = store_trial(engine)
    tables = ("trials", "epochs", "artifacts", "trial_artifacts")
    before = {table: len(records(engine, f"SELECT * FROM {table}")) for table in tables}
    rows.finish(outcome)
    assert {table: len(records(engine, f"SELECT * FROM {table}")) for table in tables} == before
    assert before == {"trials": 1, "epochs": EPOCHS, "artifacts": 1, "trial_artifacts": 1}


def test_a_shorter_curve_replaces_a_longer_one(rows: TrialRows, engine: Engine) -> None:
    trial, _ = store_trial(engine)
    rows.finish(make_outcome(trial, epochs=2))
    assert [
        row["number"] for row in records(engine, "SELECT number FROM epochs ORDER BY number")
    ] == [1, 2]


def test_the_state_has_the_newest_artifact(rows: TrialRows, engine: Engine) -> None:
    trial, _ = store_trial(engine)
    newer = make_outcome(trial, b"other bytes")
    rows.finish(newer)
    assert rows.get_states([trial])[trial.id].artifacts == {"tflite": newer.artifacts[0].sha256}


def test_two_trials_may_produce_the_same_bytes(rows: TrialRows, engine: Engine) -> None:
    first, second = make_trial(1), make_trial(2)
    rows.submit(make_sweep(first, second), again=[])
    for trial in (first, second):
        rows.finish(make_outcome(trial, b"the same bytes"))
    sha256 = make_artifact(b"the same bytes").sha256
    assert len(records(engine, "SELECT * FROM artifacts")) == 1
    assert rows.get_states([first, second]) == {
        first.id: TrialState(DONE, {"tflite": sha256}),
        second.id: TrialState(DONE, {"tflite": sha256}),
    }
    assert rows.get_sweep_artifacts("study") == [sha256]


def test_a_failed_trial_keeps_its_reason_and_log(rows: TrialRows, engine: Engine) -> None:
    trial = make_trial()
    rows.submit(make_sweep(trial), again=[])
    rows.fail(trial.id, DIVERGED)
    assert rows.get_states([trial]) == {trial.id: TrialState(FAILED, {}, reason="diverged")}
    (row,) = records(engine, "SELECT reason, message, finished_at FROM trials")
    assert (row["reason"], row["message"]) == ("diverged", DIVERGED.message)
    assert row["finished_at"] is not None
    (failure,) = records(engine, "SELECT * FROM failures")
    assert (failure["trial_id"], failure["case_id"]) == (trial.id, None)
    assert (failure["reason"], failure["message"]) == ("diverged", DIVERGED.message)
    assert decompress_text(failure["log_zstd"]) == DIVERGED.log


def test_what_a_failed_trial_trained_on_is_stored(rows: TrialRows, engine: Engine) -> None:
    trial = make_trial()
    rows.submit(make_sweep(trial), again=[])
    rows.fail(trial.id, DIVERGED, node="node-1", processors="CPU, GPU NVIDIA A100")
    (row,) = records(engine, "SELECT node, processors, quality FROM trials")
    assert row == {"node": "node-1", "processors": "CPU, GPU NVIDIA A100", "quality": None}


def test_a_warning_about_a_network_is_shown_with_its_measurements(
    rows: TrialRows, engine: Engine
) -> None:
    fill(engine)
    before = {row["trial"]: row["quality"] for row in records(engine, RESULTS)}
    warned = min(before)
    chance = Warning("chance", "30 of 360 right", remedy="train longer")
    with engine.begin() as connection:
        connection.execute(
            trials_table.update()
            .where(trials_table.c.id == warned)
            .values(quality=format_quality([chance]))
        )
    after = {row["trial"]: row["quality"] for row in records(engine, RESULTS)}
    assert {trial for trial in before if before[trial] != after[trial]} == {warned}
    assert parse_quality(after[warned]) == (*parse_quality(before[warned]), chance)


def test_a_failed_trial_may_finish_later_and_keeps_its_failure(
    rows: TrialRows, engine: Engine
) -> None:
    trial = make_trial()
    rows.submit(make_sweep(trial), again=[])
    rows.fail(trial.id, DIVERGED)
    rows.submit(make_sweep(trial), again=[trial])
    assert rows.get_states([trial])[trial.id].status == PLANNED
    rows.finish(make_outcome(trial))
    (row,) = records(engine, "SELECT status, reason, message FROM trials")
    assert row == {"status": DONE, "reason": None, "message": None}
    assert len(records(engine, "SELECT * FROM failures")) == 1
    assert run_named_query(engine, "failures").values == ()


def test_a_users_model_file_needs_no_trial(rows: TrialRows, engine: Engine) -> None:
    artifact: Artifact = make_artifact(b"own model", accuracy=None, agreement=None)
    rows.add_artifact(artifact, "mobilenet.tflite")
    rows.add_artifact(artifact, "copy.tflite")
    (row,) = records(engine, "SELECT * FROM artifacts")
    assert (row["sha256"], row["name"]) == (artifact.sha256, "copy.tflite"), "the newest name"
    assert records(engine, "SELECT * FROM trial_artifacts") == []


def test_a_sweep_may_be_submitted_while_another_process_submits_it(
    rows: TrialRows, engine: Engine
) -> None:
    """This process waits until the other one commits the trial, then finds it."""
    trial = make_trial()
    failures: list[BaseException] = []

    def submit() -> None:
        try:
            rows.submit(make_sweep(trial), again=[])
        except BaseException as failure:  # noqa: BLE001  (the test's thread checks it)
            failures.append(failure)

    thread = Thread(target=submit)
    with write_transaction(engine) as other:
        other.execute(
            trials_table.insert(),
            [dict.fromkeys(REQUIRED, "…") | {"id": trial.id, "seed": 0, "status": PLANNED}],
        )
        thread.start()
        thread.join(1)
        assert thread.is_alive()
    thread.join()
    assert failures == []
    assert rows.get_states([trial]) == {trial.id: TrialState(PLANNED, {})}
    assert rows.list_sweeps() == ["study"]


@pytest.mark.parametrize("seed", [2**31 - 1, 2**32 - 1])
def test_every_seed_that_numpy_accepts_is_stored(
    rows: TrialRows, engine: Engine, seed: int
) -> None:
    rows.submit(make_sweep(make_trial(seed)), again=[])
    assert records(engine, "SELECT seed FROM trials") == [{"seed": seed}]


@pytest.mark.parametrize("name", sorted(load_named_queries()))
def test_each_named_query_runs_on_an_empty_database(engine: Engine, name: str) -> None:
    result = run_named_query(engine, name)
    assert result.values == ()
    assert len(set(result.columns)) == len(result.columns) > 3


@pytest.mark.parametrize("name", sorted(load_named_queries()))
def test_each_named_query_returns_plain_values(engine: Engine, name: str) -> None:
    """Numbers are int or float on both databases, as JSON, Parquet and tables expect."""
    fill(engine)
    slow_down(engine)
    look_first(engine)
    PublishedRows(engine).add(
        [
            PublishedLatency(
                "QuickNet",
                "binary",
                device="Pixel 1",
                threads=4,
                latency_ms=12.6,
                source="a README",
                dated=date(2021, 6, 11),
            )
        ]
    )
    result = run_named_query(engine, name)
    assert result.values
    types = set(map(type, chain.from_iterable(result.values)))
    assert types <= {int, float, str, bool, type(None)}


def slow_down(engine: Engine) -> None:
    """Measure all cases again, slower and with their energy."""
    case = make_case(make_outcome(make_trial()).artifacts[0].sha256)
    slower = make_measurement(case, 900.0)
    CaseRows(engine).finish(
        "local", replace(slower, summary=replace(slower.summary, energy_uj=3.0))
    )


def test_a_binary_network_is_compared_with_its_float_twin(engine: Engine) -> None:
    fill(engine)
    (row,) = run_named_query(engine, "binary_vs_float").records()
    assert (row["sweep"], row["model"], row["seed"], row["device"]) == ("study", "mlp", 0, "here")
    assert float(row["times_faster"]) == pytest.approx(4.0)
    assert float(row["size_share"]) == pytest.approx(1.0)
    assert float(row["accuracy_points"]) == pytest.approx(0.0)


def test_the_query_sweeps_counts_trials_and_cases(engine: Engine) -> None:
    fill(engine)
    TrialRows(engine).submit(make_sweep(make_trial(50, Precision.FLOAT32)), again=[])
    (row,) = run_named_query(engine, "sweeps").records()
    counts = {
        name: row[name]
        for name in ("trials", "done", "failed", "waiting", "measured", "failed_cases")
    }
    assert counts == {
        "trials": 4,
        "done": 2,
        "failed": 1,
        "waiting": 1,
        "measured": 2,
        "failed_cases": 1,
    }
