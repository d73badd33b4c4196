"""The output of a training: each trial as it ends, and a summary."""

from collections.abc import Sequence
from time import monotonic

from rich.console import Console

from harness.core.errors import Reason
from harness.core.sweep import Timings, Trial
from harness.core.units import count_noun, format_bytes, format_percent, format_seconds
from harness.report.terminal.work import WorkProgress
from harness.sweep.mlflow import MlflowLog
from harness.training.events import (
    ClusterReady,
    EpochEnded,
    Failed,
    Finished,
    PointStarted,
    Quiet,
    Retried,
    Started,
    Stopped,
    SweepEvent,
    TrialEvent,
)


class TrainingReporter:
    """A reporter of the events of a training, which also counts the failures.

    `mlflow_log` gets the events, too.
    """

    def __init__(self, out: Console, progress: WorkProgress, mlflow_log: MlflowLog | None) -> None:
        self._out = out
        self._progress = progress
        self._mlflow_log = mlflow_log
        self.failures = 0
        self._timings: list[Timings] = []
        self._worker_starts: dict[tuple[str, int], float] = {}  # by node and process id
        self._started = self._ended = monotonic()

    def report(self, event: SweepEvent) -> None:
        if isinstance(event, ClusterReady | PointStarted | Quiet):
            return
        _show(event, self._progress)
        if self._mlflow_log is not None:
            self._mlflow_log.log(event)
        self._ended = monotonic()
        match event:
            case Started():
                self._worker_starts.setdefault((event.node, event.pid), self._ended)
            case Finished():
                self._timings.append(event.outcome.timings)
            case Failed():
                self.failures += 1
                self._timings.append(event.timings or Timings())

    def summarise(self) -> None:
        """Print how many trials ended, and how much of the workers' time was work."""
        self._out.print(
            _summarise(
                self._timings,
                self.failures,
                wall_s=self._ended - self._started,
                workers_s=[self._ended - start for start in self._worker_starts.values()],
            )
        )
        if self._mlflow_log is not None and self._mlflow_log.problem:
            self._out.print(self._mlflow_log.problem)


def _show(event: TrialEvent, progress: WorkProgress) -> None:
    trial = event.trial
    name = f"{trial.id} {describe_model(trial)} {trial.precision}"
    match event:
        case Started():
            progress.step(name, 0, total=trial.recipe.epochs, note="starting")
        case EpochEnded():
            progress.step(
                name,
                event.epoch.number,
                total=trial.recipe.epochs,
                note=f"loss {event.epoch.loss:.3f}",
            )
        case Finished(outcome=outcome):
            artifacts = ", ".join(
                f"{format_bytes(artifact.size_bytes)} at {format_percent(artifact.accuracy)}"
                for artifact in outcome.artifacts
            )
            warnings = "".join(f"; warning: {warning}" for warning in outcome.warnings)
            progress.end(
                name,
                f"{name}: {artifacts}, in {format_seconds(outcome.timings.work_s)}{warnings}",
            )
        case Retried(failure=failure):
            alone = " alone" if failure.reason is Reason.OUT_OF_MEMORY else ""
            note = f"{failure.reason}: will be tried again{alone}, after the other trials"
            progress.retry(name, f"{name}: {note}")
        case Stopped(cause=cause):
            progress.end(name, f"{name}: stopped early ({cause.reason}): {cause.message}")
        case Failed(failure=failure):
            line = f"{name}: failed ({failure.reason}): {failure.message}"
            progress.end(name, line, is_failed=True)


def _summarise(
    timings: Sequence[Timings], failures: int, wall_s: float, workers_s: Sequence[float]
) -> str:
    """Count the trials, and say how much of the workers' time was work.

    `workers_s` is how long each worker was up; in the rest of this time it waited.
    """
    failed = f", {failures} failed" if failures else ""
    trials = f"{count_noun(len(timings) - failures, 'trial')} done{failed}"
    if not workers_s:
        return f"{trials} in {format_seconds(wall_s)}."
    work_share = sum(timing.work_s for timing in timings) / sum(workers_s)
    import_s = sum(timing.import_s for timing in timings) / len(workers_s)
    return (
        f"{trials} in {format_seconds(wall_s)}. "
        f"{count_noun(len(workers_s), 'worker')} took {format_seconds(import_s)} each to import "
        f"libraries; {format_percent(work_share)} of their remaining time was work."
    )


def describe_model(trial: Trial) -> str:
    parameters = [f"{key}={value}" for key, value in trial.parameters.items()]
    return " ".join([trial.architecture, *parameters])
