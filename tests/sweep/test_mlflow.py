"""Events of a sweep, logged to an MLflow store that the tests create."""

import sys
from collections.abc import Sequence
from math import nan
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.core.errors import Reason, RequestError
from harness.core.sweep import Epoch, Failure, Precision
from harness.sweep.mlflow import MlflowLog, flatten_settings
from harness.training.events import (
    EpochEnded,
    Failed,
    Finished,
    Retried,
    Started,
    Stopped,
    TrialEvent,
)
from tests.store.examples import make_outcome, make_trial

TRIAL, OTHER, LATE = make_trial(), make_trial(precision=Precision.FLOAT32), make_trial(seed=7)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create a store once, as that takes long; each test logs to an experiment of its own."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def follow(uri: str, sweep: str, events: Sequence[TrialEvent]) -> None:
    mlflow_log = MlflowLog(uri, sweep)
    for event in events:
        mlflow_log.log(event)
    assert mlflow_log.problem == ""


def runs(uri: str, sweep: str) -> dict[str, Run]:
    """Return the run of each trial; none has two."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(sweep)
    assert experiment is not None
    all_runs = client.search_runs([experiment.experiment_id])
    by_trial = {run.data.tags["harness.trial"]: run for run in all_runs}
    assert len(by_trial) == len(all_runs)
    return by_trial


def curve(uri: str, run: Run, name: str) -> list[tuple[int, float]]:
    history = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in history]


def epoch(number: int, loss: float = 0.5) -> Epoch:
    return Epoch(
        number, loss, accuracy=0.8, validation_loss=None, validation_accuracy=0.7, seconds=1.5
    )


def test_a_finished_trial_is_a_run_with_its_settings_curve_and_results(
    uri: str, sweep: str
) -> None:
    outcome = make_outcome(TRIAL)
    epochs = [EpochEnded(TRIAL, ended) for ended in outcome.curve]
    follow(uri, sweep, events=[Started(TRIAL, "node", pid=1), *epochs, Finished(TRIAL, outcome)])
    run = runs(uri, sweep)[TRIAL.id]
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in flatten_settings(TRIAL).items()}
    assert run.data.params["model.units"] == "64"
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.params["precision"] == "binary"
    assert curve(uri, run, name="loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert len(curve(uri, run, name="validation_loss")) == 3
    assert "validation_accuracy" not in run.data.metrics
    artifact = outcome.artifacts[0]
    assert run.data.metrics["test_accuracy"] == 0.91
    assert run.data.metrics["artifact_accuracy"] == 0.9
    assert run.data.metrics["size_bytes"] == artifact.size_bytes
    assert run.data.tags["harness.artifact"] == artifact.sha256
    assert run.data.tags["harness.twin"] == TRIAL.twin


def test_failed_and_stopped_trials_have_their_reasons_as_tags(uri: str, sweep: str) -> None:
    diverged = Failure(Reason.DIVERGED, "The loss became nan.")
    outclassed = Failure(Reason.OUTCLASSED, "Others did better.")
    events: list[TrialEvent] = [
        Started(TRIAL, "node", pid=1),
        Started(OTHER, "node", pid=2),
        EpochEnded(TRIAL, epoch(1, nan)),
        Failed(TRIAL, diverged),
        Stopped(OTHER, outclassed),
        Failed(LATE, Failure(Reason.NO_DATA, "The data set is missing.")),
    ]
    follow(uri, sweep, events=events)
    by_trial = runs(uri, sweep)
    assert {trial: run.info.status for trial, run in by_trial.items()} == {
        TRIAL.id: "FAILED",
        OTHER.id: "KILLED",
        LATE.id: "FAILED",
    }
    assert by_trial[TRIAL.id].data.tags["harness.reason"] == "diverged"
    assert by_trial[OTHER.id].data.tags["harness.message"] == "Others did better."


def test_a_trial_continues_the_run_that_an_earlier_command_started(uri: str, sweep: str) -> None:
    follow(uri, sweep, events=[Started(TRIAL, "node", pid=1), EpochEnded(TRIAL, epoch(1))])
    assert runs(uri, sweep)[TRIAL.id].info.status == "RUNNING"
    retried = Retried(TRIAL, Failure(Reason.OUT_OF_MEMORY, "No memory."))
    follow(
        uri,
        sweep,
        events=[
            Started(TRIAL, "node", pid=1),
            retried,
            Started(TRIAL, "node", pid=1),
            EpochEnded(TRIAL, epoch(2)),
        ],
    )
    run = runs(uri, sweep)[TRIAL.id]
    assert run.info.status == "RUNNING"
    assert [step for step, _ in curve(uri, run, name="loss")] == [1, 2]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense://somewhere"])
def test_an_address_without_a_store_is_refused_before_anything_starts(address: str) -> None:
    with pytest.raises(RequestError, match=f"--mlflow {address}: .*; check the address"):
        MlflowLog(address, "study")


def test_a_store_that_breaks_is_reported_and_does_not_end_the_sweep(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    mlflow_log = MlflowLog(f"sqlite:///{database}", "study")
    mlflow_log.log(Started(TRIAL, "node", pid=1))
    database.write_bytes(b"no longer a database" * 100)
    mlflow_log.log(EpochEnded(TRIAL, epoch(1)))
    mlflow_log.log(EpochEnded(TRIAL, epoch(2)))
    assert mlflow_log.problem.startswith(f"--mlflow sqlite:///{database}: ")
    assert mlflow_log.problem.endswith(
        "nothing more was logged there, but the rows here are complete."
    )


def test_a_missing_mlflow_is_reported_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.entities", None)
    with pytest.raises(RequestError, match=r"pip install 'bnn-harness\[mlflow\]'"):
        MlflowLog("sqlite:///mlflow.db", "study")
