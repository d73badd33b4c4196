"""The door to MLflow: each trial's life as a run there, beside the rows here."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import RequestError, first_line
from harness.core.ids import to_plain
from harness.core.sweep import Epoch, Failure, Trial, TrialOutcome
from harness.training.events import (
    EpochEnded,
    Failed,
    Finished,
    Retried,
    Started,
    Stopped,
    TrialEvent,
)

TRIAL = "harness.trial"
"""The tag that holds a run's trial."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own seven would hold up the sweep for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class MlflowLog:
    """An experiment for a sweep, and in it a run for each trial, whichever command trains it.

    `problem` is why no more is logged, once MLflow has failed: the sweep goes on all the same.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        """Raises RequestError where there is no MLflow, or nobody answers at `uri`."""
        self._uri = uri
        self._sweep = sweep
        self._runs: dict[str, str] = {}
        self.problem = ""
        self._mlflow = _mlflow()
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(sweep)
            self._experiment = (
                known.experiment_id if known else self._client.create_experiment(sweep)
            )
        except Exception as error:
            raise RequestError(
                f"--mlflow {uri}: {first_line(error)}; check the address."
            ) from error

    def log(self, event: TrialEvent) -> None:
        if self.problem:
            return
        try:
            self._record(event)
        except Exception as error:  # noqa: BLE001  (whatever the store behind the address raises)
            self.problem = f"--mlflow {self._uri}: {first_line(error)}; from there on only the rows here are whole."

    def _record(self, event: TrialEvent) -> None:
        trial = event.trial
        match event:
            case Started():
                self._runs[trial.id] = self._begun(trial)
            case EpochEnded(epoch=epoch):
                self._measure(trial, _curve(epoch), epoch.number)
            case Finished(outcome=outcome):
                self._measure(trial, _ended(outcome), len(outcome.curve))
                self._end(
                    trial,
                    "FINISHED",
                    artifact=", ".join(artifact.sha256 for artifact in outcome.artifacts),
                )
            case Failed(failure=cause):
                self._end(trial, "FAILED", **_told(cause))
            case Stopped(cause=cause):
                self._end(trial, "KILLED", **_told(cause))
            case Retried():
                pass  # its run goes on

    def _begun(self, trial: Trial) -> str:
        """Its run goes on where an earlier command has begun it."""
        known = self._client.search_runs(
            [self._experiment], f"tags.`{TRIAL}` = '{trial.id}'", max_results=1
        )
        if known:
            self._client.update_run(known[0].info.run_id, status="RUNNING")
            return str(known[0].info.run_id)
        tags = {TRIAL: trial.id, "harness.twin": trial.twin, "harness.sweep": self._sweep}
        run = self._client.create_run(
            self._experiment, tags=tags, run_name=f"{trial.id} {trial.precision}"
        )
        params = [
            self._mlflow.entities.Param(name, str(value))
            for name, value in flatten_settings(trial).items()
        ]
        self._client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def _measure(self, trial: Trial, values: Mapping[str, float | None], epoch: int) -> None:
        at_ms = round(1000 * time.time())
        known = [(name, value) for name, value in values.items() if value is not None]
        metrics = [self._mlflow.entities.Metric(name, value, at_ms, epoch) for name, value in known]
        self._client.log_batch(self._run(trial), metrics=metrics)

    def _end(self, trial: Trial, status: str, **tags: str) -> None:
        for name, value in tags.items():
            self._client.set_tag(self._run(trial), f"harness.{name}", value)
        self._client.set_terminated(self._run(trial), status)

    def _run(self, trial: Trial) -> str:
        """One that failed before it began, for want of its data set, has a run all the same."""
        if trial.id not in self._runs:
            self._runs[trial.id] = self._begun(trial)
        return self._runs[trial.id]


def _mlflow() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow.entities
    except ModuleNotFoundError as error:
        raise RequestError("--mlflow: needs MLflow; pip install 'bnn-harness[mlflow]'.") from error
    return mlflow


def flatten_settings(trial: Trial) -> dict[str, Any]:
    """By the keys of a sweep file: `model.units`, `train.learning_rate`."""
    told = {
        "model": {"name": trial.architecture, **trial.parameters},
        "train": to_plain(trial.recipe),
        "precision": str(trial.precision),
        "dataset": trial.dataset,
        "seed": trial.seed,
    }
    return dict(_flat(told, ""))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _curve(epoch: Epoch) -> dict[str, float | None]:
    return {
        "loss": epoch.loss,
        "accuracy": epoch.accuracy,
        "validation_loss": epoch.validation_loss,
        "validation_accuracy": epoch.validation_accuracy,
        "epoch_s": epoch.seconds,
    }


def _ended(outcome: TrialOutcome) -> dict[str, float | None]:
    """`test_accuracy` is the trained model's; the artifact's is its own, from its interpreter."""
    told: dict[str, float | None] = {"test_accuracy": outcome.accuracy, "params": outcome.params}
    for artifact in outcome.artifacts:
        told["artifact_accuracy"] = artifact.accuracy
        told["size_bytes"] = artifact.size_bytes
        told["binary_macs"] = artifact.anatomy.binary_macs
        told["float_macs"] = artifact.anatomy.float_macs
    return told


def _told(cause: Failure) -> dict[str, str]:
    return {"reason": str(cause.reason), "message": cause.message}
