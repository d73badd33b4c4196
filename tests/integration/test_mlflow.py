"""A sweep that is also logged to MLflow."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.harness_cli import Cli

SWEEP = """
name: logged
dataset: digits
model: {name: mlp, layers: 1, units: 8}
precision: [binary, float32]
train: {epochs: 2}
"""


@pytest.mark.full
def test_each_trial_is_a_run_with_the_values_of_its_rows(
    cli: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "logged.yaml"
    sweep.write_text(SWEEP)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    ended = cli.run("submit", "sweep", sweep, "--address", cluster, "--mlflow", uri)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = client.search_experiments(filter_string="name = 'logged'")
    runs = {
        run.data.tags["harness.trial"]: run
        for run in client.search_runs([experiment.experiment_id])
    }
    rows = cli.rows(
        "SELECT t.id, t.precision, a.accuracy, f.sha256, f.size_bytes FROM trials AS t "
        "JOIN trial_artifacts AS a ON a.trial_id = t.id "
        "JOIN artifacts AS f ON f.sha256 = a.artifact"
    )
    assert {row["id"] for row in rows} == set(runs)
    for row in rows:
        run = runs[row["id"]]
        assert run.info.status == "FINISHED"
        assert run.data.params["precision"] == row["precision"]
        assert run.data.metrics["artifact_accuracy"] == row["accuracy"]
        assert run.data.metrics["size_bytes"] == row["size_bytes"]
        assert run.data.tags["harness.artifact"] == row["sha256"]
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
        assert steps == [1, 2]


def test_a_password_is_not_passed_to_a_job(cli: Cli, tmp_path: Path) -> None:
    sweep = tmp_path / "logged.yaml"
    sweep.write_text(SWEEP)
    refused = cli.run(
        "submit", "sweep", sweep, "--detach", "--mlflow", "https://me:hush@mlflow.lab"
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "error: --mlflow: holds a password, and --detach would show it"
    )
    assert "hush" not in refused.stderr
