"""The trainable that Ray Tune runs in each worker process, around units of trials."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ray import get, get_runtime_context, tune

from harness.core.sweep import Failure
from harness.training.events import (
    EpochEnded,
    Failed,
    PointStarted,
    Started,
    UnitEvent,
)
from harness.training.search import SearchedUnits
from harness.training.trial import Stopwatch, warm_up
from harness.training.unit import run_unit, trials_in
from harness.training.worker_input import WorkerInput


class Worker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """A trainable that Tune reuses, so that each process imports TensorFlow only once."""

    def setup(self, config: dict[str, Any], worker_input: WorkerInput) -> None:
        """Import what every trial needs and prepare the first config; Tune calls this once."""
        self._input = worker_input
        # TensorFlow removes the Python files that it generates at exit, but Ray kills its workers.
        self._folder = tempfile.TemporaryDirectory(prefix="harness-worker-")
        tempfile.tempdir = self._folder.name
        self._watch = Stopwatch()
        self._node_id = get_runtime_context().get_node_id()
        with self._watch.measure("import_s"):
            conditions = worker_input.conditions
            warm_up(conditions.threads, use_gpu=conditions.gpus > 0)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare another config; Tune calls this to reuse the process."""
        self._watch = Stopwatch()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Remove the worker's temporary files; Tune calls this before it ends the process."""
        tempfile.tempdir = None
        self._folder.cleanup()

    def _begin(self, config: dict[str, Any]) -> None:
        self._events = self._run(config)

    def step(self) -> dict[str, Any]:
        """Run one epoch if Tune wants to hear of each, else everything."""
        for event in self._events:
            self._input.channel.put(
                replace(event, node_id=self._node_id) if isinstance(event, Started) else event
            )
            if isinstance(event, EpochEnded) and self._input.reports_epochs:
                return {"epoch": event.epoch.number, "accuracy": event.epoch.validation_accuracy}
        return {"done": True, "ended": True}

    def _run(self, config: dict[str, Any]) -> Iterator[PointStarted | UnitEvent]:
        units = self._input.unit_source.units_at(config)
        if isinstance(self._input.unit_source, SearchedUnits):
            yield PointStarted(config, tuple(trials_in(units)))
        import_s = self._watch.seconds.get("import_s", 0.0)
        waiting_s = time.time() - self._input.submitted_at - import_s
        self._watch.seconds["waiting_s"] = max(0.0, waiting_s)
        for unit in units:
            with self._watch.measure("data_s"):
                dataset = get(self._input.datasets[unit.trials[0].dataset])
            if isinstance(dataset, Failure):
                yield from (Failed(trial, dataset) for trial in unit.trials)
            else:
                yield from run_unit(
                    unit, dataset, conditions=self._input.conditions, watch=self._watch
                )
