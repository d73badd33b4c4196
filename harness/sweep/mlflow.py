"""A log of a sweep in MLflow: each trial is a run there, in addition to its rows here."""

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
"""The tag with the id of a run's trial."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its default of seven would delay the sweep by minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class MlflowLog:
    """An experiment for a sweep, with a run for each trial, whichever command trains it.

    `problem` says why logging has ended if MLflow failed; the sweep continues without it.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        """Open or create the experiment.

        Raises RequestError if MLflow is not installed, or no store answers at `uri`.
        """
        self._uri = uri
        self._sweep = sweep
        self._run_ids: dict[str, str] = {}
        self.problem = ""
        self._mlflow = _import_mlflow()
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)
            experiment = self._client.get_experiment_by_name(sweep)
            self._experiment_id = (
                experiment.experiment_id if experiment else self._client.create_experiment(sweep)
            )
        except Exception as error:
            raise RequestError(
                f"--mlflow {uri}: {first_line(error)}; check the address."
            ) from error

    def log(self, event: TrialEvent) -> None:
        """Log the event, unless logging has ended."""
        if self.problem:
            return
        try:
            self._log_event(event)
        except Exception as error:  # noqa: BLE001  (whatever the store behind the address raises)
            self.problem = (
                f"--mlflow {self._uri}: {first_line(error)}; "
                "nothing more was logged there, but the rows here are complete."
            )

    def _log_event(self, event: TrialEvent) -> None:
        trial = event.trial
        match event:
            case Started():
                self._run_ids[trial.id] = self._start_run(trial)
            case EpochEnded(epoch=epoch):
                self._log_metrics(trial, _epoch_metrics(epoch), epoch=epoch.number)
            case Finished(outcome=outcome):
                self._log_metrics(trial, _outcome_metrics(outcome), epoch=len(outcome.curve))
                artifacts = ", ".join(artifact.sha256 for artifact in outcome.artifacts)
                self._end_run(trial, "FINISHED", artifact=artifacts)
            case Failed(failure=failure):
                self._end_run(trial, "FAILED", **_failure_tags(failure))
            case Stopped(cause=cause):
                self._end_run(trial, "KILLED", **_failure_tags(cause))
            case Retried():
                pass  # its run continues

    def _start_run(self, trial: Trial) -> str:
        """Return the id of the trial's run, which an earlier command may have started."""
        runs = self._client.search_runs(
            [self._experiment_id], f"tags.`{TRIAL}` = '{trial.id}'", max_results=1
        )
        if runs:
            run_id = str(runs[0].info.run_id)
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        run = self._client.create_run(
            self._experiment_id,
            tags={TRIAL: trial.id, "harness.twin": trial.twin, "harness.sweep": self._sweep},
            run_name=f"{trial.id} {trial.precision}",
        )
        run_id = str(run.info.run_id)
        params = [
            self._mlflow.entities.Param(name, str(value))
            for name, value in flatten_settings(trial).items()
        ]
        self._client.log_batch(run_id, params=params)
        return run_id

    def _log_metrics(self, trial: Trial, values: Mapping[str, float | None], epoch: int) -> None:
        now_ms = round(1000 * time.time())
        metrics = [
            self._mlflow.entities.Metric(name, value, now_ms, epoch)
            for name, value in values.items()
            if value is not None
        ]
        self._client.log_batch(self._run_id(trial), metrics=metrics)

    def _end_run(self, trial: Trial, status: str, **tags: str) -> None:
        run_id = self._run_id(trial)
        for name, value in tags.items():
            self._client.set_tag(run_id, f"harness.{name}", value)
        self._client.set_terminated(run_id, status)

    def _run_id(self, trial: Trial) -> str:
        """Return the id of the trial's run.

        A trial that fails before it starts, for lack of its data set, gets a run too.
        """
        if trial.id not in self._run_ids:
            self._run_ids[trial.id] = self._start_run(trial)
        return self._run_ids[trial.id]


def _import_mlflow() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow.entities
    except ModuleNotFoundError as error:
        raise RequestError("--mlflow: needs MLflow; pip install 'bnn-harness[mlflow]'.") from error
    return mlflow


def flatten_settings(trial: Trial) -> dict[str, Any]:
    """Return the trial's settings by their keys in a sweep file, such as `model.units`."""
    settings = {
        "model": {"name": trial.architecture, **trial.parameters},
        "train": to_plain(trial.recipe),
        "precision": str(trial.precision),
        "dataset": trial.dataset,
        "seed": trial.seed,
    }
    return dict(_flatten(settings, ""))


def _flatten(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _epoch_metrics(epoch: Epoch) -> dict[str, float | None]:
    return {
        "loss": epoch.loss,
        "accuracy": epoch.accuracy,
        "validation_loss": epoch.validation_loss,
        "validation_accuracy": epoch.validation_accuracy,
        "epoch_s": epoch.seconds,
    }


def _outcome_metrics(outcome: TrialOutcome) -> dict[str, float | None]:
    """Return `test_accuracy` of the trained model, and the figures of its artifact.

    `artifact_accuracy` comes from the artifact's own interpreter.
    """
    metrics: dict[str, float | None] = {"test_accuracy": outcome.accuracy, "params": outcome.params}
    for artifact in outcome.artifacts:
        metrics["artifact_accuracy"] = artifact.accuracy
        metrics["size_bytes"] = artifact.size_bytes
        metrics["binary_macs"] = artifact.anatomy.binary_macs
        metrics["float_macs"] = artifact.anatomy.float_macs
    return metrics


def _failure_tags(failure: Failure) -> dict[str, str]:
    return {"reason": str(failure.reason), "message": failure.message}
