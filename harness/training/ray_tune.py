"""One run of Ray Tune over a sweep's units, as events.

Workers report their own events through a channel. Tune reports the trials whose worker died, and
those that it ended early.
"""

import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, Reason
from harness.core.search import Search
from harness.core.sweep import Failure, Trial
from harness.training.events import Failed, Finished, PointStarted, Stopped, UnitEvent
from harness.training.search import FixedUnits, UnitSource, scheduler_settings
from harness.training.unit import Conditions, trials_in
from harness.training.worker_input import WorkerInput

# Ray writes one of these if its memory monitor ended a worker; the kernel's leaves no such trace.
_OUT_OF_MEMORY_SIGNS = ("NODE_OUT_OF_MEMORY", "OutOfMemoryError", "running low on memory")
_LOST = Failure(
    Reason.LOST, "Ray ended without reporting this trial; submit the sweep again to continue."
)


@dataclass(frozen=True)
class _TuneEnded:
    """The last message of the channel; `problem` is Tune's traceback if it broke down."""

    problem: str = ""


def run_tune(
    unit_source: UnitSource,
    search: Search,
    share: Mapping[str, float],
    datasets: Mapping[str, Any],
    conditions: Conditions,
) -> Iterator[PointStarted | UnitEvent]:
    """Run Tune in a thread and yield the events, so that Ctrl-C reaches their reader.

    `datasets` holds Ray references, and `share` the CPUs and GPUs of one trial.
    Raises HarnessError if Tune broke down and no trial was unfinished.
    """
    worker_input = WorkerInput(
        unit_source,
        datasets,
        conditions=conditions,
        channel=_create_channel(),
        submitted_at=time.time(),
        reports_epochs=search.asha is not None or search.budget_s is not None,
    )
    threading.Thread(target=_tune, args=(worker_input, search, share), daemon=True).start()
    yield from _read_events(worker_input, search)


def _create_channel() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _tune(worker_input: WorkerInput, search: Search, share: Mapping[str, float]) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="harness-tune-") as folder:
            _build_tuner(worker_input, search, share=share, folder=folder).fit()
        worker_input.channel.put(_TuneEnded())
    except Exception:  # noqa: BLE001  (the reader of the events fails the unfinished trials)
        worker_input.channel.put(_TuneEnded(traceback.format_exc()))


def _build_tuner(
    worker_input: WorkerInput, search: Search, share: Mapping[str, float], folder: str
) -> Any:
    from ray import tune

    from harness.training.worker import Worker

    trainable = tune.with_parameters(Worker, worker_input=worker_input)
    return tune.Tuner(
        tune.with_resources(trainable, dict(share)),
        param_space=worker_input.unit_source.param_space(),
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            time_budget_s=search.budget_s,
            **worker_input.unit_source.tuner_settings(search),
            **scheduler_settings(search.asha),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            verbose=0,
            callbacks=[_build_callback(worker_input)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _build_callback(worker_input: WorkerInput) -> Any:
    """Return a callback that reports what workers can't: their death, and trials ended early.

    It reports every trial of the config; the reader drops those that had ended before.
    """
    from ray import tune

    class Callback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
        def on_trial_error(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            failure = _explain_death(Path(trial.error_file).read_text())
            for unfinished in _trials_at(worker_input, trial.config):
                worker_input.channel.put(Failed(unfinished, failure))

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            if trial.last_result.get("ended"):
                return
            epochs = trial.last_result.get("epoch")
            cause = Failure(Reason.OUTCLASSED, f"Other trials did better after {epochs} epochs.")
            for unfinished in _trials_at(worker_input, trial.config):
                worker_input.channel.put(Stopped(unfinished, cause))

    return Callback()


def _trials_at(worker_input: WorkerInput, config: Mapping[str, Any]) -> list[Trial]:
    return trials_in(worker_input.unit_source.units_at(config))


def _explain_death(log: str) -> Failure:
    """Return why a worker died, from what Ray wrote about it."""
    if any(sign in log for sign in _OUT_OF_MEMORY_SIGNS):
        message = (
            "Ray ended the worker because its node ran out of memory; "
            "lower train.batch_size or raise resources.cpu."
        )
        return Failure(Reason.OUT_OF_MEMORY, message, log=log)
    message = (
        "Something killed the worker process before the trial ended; "
        "submit the sweep again to continue."
    )
    return Failure(Reason.KILLED, message, log=log)


def _read_events(worker_input: WorkerInput, search: Search) -> Iterator[PointStarted | UnitEvent]:
    """Yield events until Tune ends; then end each unfinished trial, so that none disappears.

    Raises HarnessError if Tune broke down and no trial was unfinished.
    """
    unit_source = worker_input.unit_source
    unfinished: dict[str, Trial] = {}
    if isinstance(unit_source, FixedUnits):
        unfinished = {trial.id: trial for trial in trials_in(unit_source.units)}
    while not isinstance(event := _receive(worker_input.channel), _TuneEnded):
        if isinstance(event, PointStarted):
            unfinished.update({trial.id: trial for trial in event.trials})
        if isinstance(event, Finished | Failed | Stopped):
            had_ended = unfinished.pop(event.trial.id, None) is None
            if had_ended:
                continue
        yield event
    if event.problem and not unfinished:
        reason = event.problem.strip().splitlines()[-1].rstrip(".")
        raise HarnessError(
            f"Ray Tune ended unexpectedly: {reason}; submit the sweep again to continue."
        )
    for trial in unfinished.values():
        yield _end_trial(trial, search, problem=event.problem)


def _end_trial(trial: Trial, search: Search, problem: str) -> Failed | Stopped:
    """Return the end of a trial that was unfinished when Tune ended."""
    if problem:
        return Failed(trial, _explain_death(problem))
    if search.budget_s:
        message = f"The search used up its budget of {search.budget_s:g} s."
        return Stopped(trial, Failure(Reason.BUDGET, message))
    return Failed(trial, _LOST)


def _receive(channel: Any) -> Any:
    """Wait for the next message of the channel; it is _TuneEnded if Ray itself broke down."""
    from ray.exceptions import RayError

    try:
        return channel.get()
    except RayError as error:
        return _TuneEnded(str(error))
