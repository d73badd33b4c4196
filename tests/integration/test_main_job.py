"""The main workflow: a small sweep is trained, converted, benchmarked and queried once."""

import json
import subprocess
from pathlib import Path

import pytest
import zstandard

from harness.bench.toollog import parse_log
from tests.harness_cli import Cli

SWEEP = """
name: tiny
dataset: digits
model: {name: mlp, layers: 2, units: 32}
precision: [binary, float32]
train: {epochs: 3, learning_rate: 0.003}
bench: {protocol: quick}
"""

PROMISED = (
    "sweep, trial, model, precision, dataset, seed, params, accuracy, artifact, format, "
    "size_bytes, binary_macs, float_macs, device, device_kind, tool, threads, latency_us, "
    "latency_low_us, latency_high_us, runs, peak_memory_bytes, energy_uj, quality, measured_at"
)


@pytest.fixture(scope="module")
def submitted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Cli, Path, "subprocess.CompletedProcess[str]"]:
    folder = tmp_path_factory.mktemp("main job")
    sweep = folder / "tiny.yaml"
    sweep.write_text(SWEEP)
    cli = Cli(folder / "a workspace; with 'odd' characters")
    before = cli.run("submit", "sweep", sweep, "--dry-run")
    assert "2 trials, 2 to train, 0 already done" in before.stdout, before.stderr
    assert "2 cases, 0 to measure, 2 more once the new trials are done" in before.stdout
    return cli, sweep, cli.run("submit", "sweep", sweep, "--bench")


Submitted = tuple[Cli, Path, "subprocess.CompletedProcess[str]"]


@pytest.mark.full
def test_a_submission_ends_well_and_reports_its_results(submitted: Submitted) -> None:
    _, _, ended = submitted
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 trials done in" in ended.stdout
    assert "of their remaining time was work" in ended.stdout
    assert "most accurate" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_results_hold_every_promised_column_of_both_twins(submitted: Submitted) -> None:
    rows = submitted[0].rows(
        f"SELECT {PROMISED} FROM results WHERE sweep = 'tiny' ORDER BY precision"
    )
    assert [row["precision"] for row in rows] == ["binary", "float32"]
    for row in rows:
        assert row["sweep"] == "tiny"
        assert 0.5 < row["accuracy"] <= 1
        assert row["latency_low_us"] <= row["latency_us"] <= row["latency_high_us"]
        assert 6 <= row["runs"] <= 18, "until the interval is narrow enough"
        assert row["peak_memory_bytes"] > 1_000_000
        assert row["energy_uj"] is None
    assert rows[0]["binary_macs"] == 32 * 32 + 32 * 10
    assert rows[0]["float_macs"] == 64 * 32
    assert rows[1]["binary_macs"] == 0
    assert rows[0]["size_bytes"] < rows[1]["size_bytes"]


def test_an_artifact_file_has_the_size_of_its_row(submitted: Submitted) -> None:
    cli = submitted[0]
    for row in cli.rows("SELECT artifact, size_bytes FROM results"):
        file = cli.home / "artifacts" / row["artifact"][:2] / f"{row['artifact']}.tflite"
        assert file.stat().st_size == row["size_bytes"]


def test_curves_timings_and_versions_are_stored(submitted: Submitted) -> None:
    cli = submitted[0]
    assert [
        row["epoch"]
        for row in cli.rows("SELECT number AS epoch FROM epochs ORDER BY trial_id, number")
    ] == [
        1,
        2,
        3,
    ] * 2
    for row in cli.rows("SELECT * FROM trials"):
        assert row["status"] == "done"
        assert all(
            row[part] >= 0
            for part in ("waiting_s", "import_s", "data_s", "fit_s", "convert_s", "evaluate_s")
        )
        assert row["fit_s"] > 0
        assert {"tensorflow", "larq", "larq-compute-engine", "ray"} <= set(
            json.loads(row["versions"])
        )


def test_stored_logs_parse_to_the_same_numbers(submitted: Submitted) -> None:
    import sqlite3

    database = sqlite3.connect(submitted[0].home / "harness.db")
    runs = database.execute("SELECT stdout_zstd, avg_us FROM runs").fetchall()
    (measured,) = submitted[0].rows("SELECT sum(runs + disturbed_runs) AS runs FROM measurements")
    assert len(runs) == measured["runs"]
    for blob, average in runs:
        assert parse_log(zstandard.decompress(blob).decode()).inference.avg_us == average


def test_a_second_submission_trains_and_measures_nothing(submitted: Submitted) -> None:
    cli, sweep, _ = submitted
    again = cli.run("submit", "sweep", sweep, "--bench")
    assert again.returncode == 0
    assert "2 trials, 0 to train, 2 already done" in again.stdout
    assert "2 cases, 0 to measure, 2 already done" in again.stdout
    assert "Starting Ray" not in again.stdout
    assert "most accurate" in again.stdout


def test_another_sweep_with_the_same_trials_has_rows_of_its_own(submitted: Submitted) -> None:
    cli, sweep, _ = submitted
    renamed = cli.run("submit", "sweep", sweep, "--set", "name=renamed", "--bench")
    assert "renamed: 2 trials, 0 to train, 2 already done" in renamed.stdout
    assert "2 cases, 0 to measure, 2 already done" in renamed.stdout
    counts = cli.rows("SELECT sweep, count(*) AS n FROM results GROUP BY sweep ORDER BY sweep")
    assert counts == [{"sweep": "renamed", "n": 2}, {"sweep": "tiny", "n": 2}]
    assert cli.run("compare", "float32", "binary").stdout.count("points") == 1


def test_compare_puts_the_twins_side_by_side(submitted: Submitted) -> None:
    compared = submitted[0].run("compare", "float32", "binary")
    assert compared.returncode == 0
    assert "points" in compared.stdout
    assert "×" in compared.stdout


def test_compare_ends_with_1_on_a_regression_over_the_limit(submitted: Submitted) -> None:
    smaller = submitted[0].run(
        "compare", "float32", "binary", "--metric", "size", "--fail-on-regression", "1%"
    )
    larger = submitted[0].run(
        "compare", "binary", "float32", "--metric", "size", "--fail-on-regression", "1%"
    )
    assert (smaller.returncode, larger.returncode) == (0, 1)
    assert "worse" in larger.stderr


def test_status_counts_finished_trials_and_cases(submitted: Submitted) -> None:
    lines = [line.split()[:7] for line in submitted[0].run("status").stdout.splitlines()]
    assert ["tiny", "2", "2", "0", "0", "2", "0"] in lines


@pytest.mark.full
def test_a_model_file_can_be_benched(submitted: Submitted) -> None:
    cli = submitted[0]
    sha256 = cli.rows("SELECT artifact FROM results WHERE precision = 'binary'")[0]["artifact"]
    file = cli.home / "artifacts" / sha256[:2] / f"{sha256}.tflite"
    named = cli.home / "a model; of 'mine'.tflite"
    named.write_bytes(file.read_bytes() + b"\0" * 16)  # another artifact, the same model
    benched = cli.run("bench", named, "--protocol", "quick", "--threads", "1,2")
    assert benched.returncode == 0, benched.stdout + benched.stderr
    rows = cli.rows(
        "SELECT file, threads, model FROM results WHERE file IS NOT NULL ORDER BY threads"
    )
    assert rows == [{"file": named.name, "threads": threads, "model": None} for threads in (1, 2)]


@pytest.mark.full
def test_a_corrupt_artifact_is_reported_and_made_again(submitted: Submitted, cluster: str) -> None:
    cli, sweep, _ = submitted
    sha256 = cli.rows("SELECT artifact FROM results WHERE precision = 'float32'")[0]["artifact"]
    file = cli.home / "artifacts" / sha256[:2] / f"{sha256}.tflite"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    benched = cli.run("bench", "--sweep", "tiny", "--protocol", "quick", "--force")
    assert benched.returncode == 1
    assert "hash_mismatch" in benched.stdout
    assert "corrupt; submit its sweep again" in benched.stdout
    failed = cli.rows("SELECT reason FROM failures")
    assert failed == [{"reason": "hash_mismatch"}]

    repaired = cli.run("submit", "sweep", sweep, "--address", cluster)
    assert repaired.returncode == 0
    assert f"artifact {sha256[:12]}… is corrupt" in repaired.stdout
    assert "1 to train, 1 already done" in repaired.stdout
    assert file.read_bytes() == content, "the same trial makes the same bytes"

    file.unlink()
    assert "is missing" in cli.run("submit", "sweep", sweep, "--dry-run").stdout
    file.write_bytes(content)
