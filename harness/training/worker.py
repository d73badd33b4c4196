"""What runs inside a Ray worker: Tune's trainable around units of trials."""

import time
from collections.abc import Iterator
from typing import Any

from ray import get, tune

from harness.core.sweep import Failure
from harness.training.events import EpochEnded, Failed, Finished, PointStarted, UnitEvent
from harness.training.search import AdaptiveSearch, Result, objectives
from harness.training.trial import Stopwatch, warm_up
from harness.training.unit import run_unit
from harness.training.worker_input import WorkerInput


class Worker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Reused for what Tune tries next, so that TensorFlow is imported once a process."""

    def setup(self, config: dict[str, Any], job: WorkerInput) -> None:
        self._job, self._watch = job, Stopwatch()
        with self._watch.part("import_s"):
            warm_up(job.conditions.threads)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._watch = Stopwatch()
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._finished: list[Finished] = []
        self._events = self._run(config)

    def step(self) -> dict[str, Any]:
        """One epoch where Tune is to be told of each, else all that there is."""
        for event in self._events:
            self._job.channel.put(event)
            if isinstance(event, Finished):
                self._finished.append(event)
            elif isinstance(event, EpochEnded) and self._job.reports:
                return {"epoch": event.epoch.number, "accuracy": event.epoch.validation_accuracy}
        return {"done": True, "ended": True, **objectives(map(_result, self._finished))}

    def _run(self, config: dict[str, Any]) -> Iterator[PointStarted | UnitEvent]:
        units = self._job.work.units_at(config)
        if isinstance(self._job.work, AdaptiveSearch):
            yield PointStarted(config, tuple(trial for unit in units for trial in unit.trials))
        import_s = self._watch.seconds.get("import_s", 0.0)
        self._watch.seconds["waiting_s"] = max(0.0, time.time() - self._job.submitted_at - import_s)
        for unit in units:
            with self._watch.part("data_s"):
                dataset = get(self._job.datasets[unit.trials[0].dataset])
            if isinstance(dataset, Failure):
                yield from (Failed(trial, dataset) for trial in unit.trials)
            else:
                yield from run_unit(
                    unit, dataset, conditions=self._job.conditions, watch=self._watch
                )


def _result(finished: Finished) -> Result:
    return finished.trial.recipe, finished.outcome.curve, finished.outcome.artifacts[0].size_bytes
