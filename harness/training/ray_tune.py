"""One run of Ray Tune over a sweep's units, as events.

Workers report their own events through a channel. Tune reports the trials whose worker died, and
those that it ended early.
"""

import os
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, Reason, RequestError
from harness.core.ids import canonical_json
from harness.core.search import Search
from harness.core.sweep import Failure, Trial
from harness.training import ray_private
from harness.training.events import (
    Failed,
    Finished,
    NodeLost,
    PointStarted,
    Quiet,
    Started,
    Stopped,
    UnitEvent,
)
from harness.training.points import PointSource, search_settings
from harness.training.search import FixedUnits, SearchedUnits, UnitSource, scheduler_settings
from harness.training.unit import Conditions, trials_in
from harness.training.worker_input import WorkerInput

# Ray writes one of these if its memory monitor ended a worker; the kernel's leaves no such trace.
_OUT_OF_MEMORY_SIGNS = ("NODE_OUT_OF_MEMORY", "OutOfMemoryError", "running low on memory")
_LOST = Failure(
    Reason.LOST, "Ray ended without reporting this trial; submit the sweep again to continue."
)

_NO_NODE = Failure(
    Reason.LOST,
    "No node that is up has the CPUs and GPUs of this trial any more; "
    "start one, and submit the sweep again to continue.",
)
NODE_PATIENCE_S = 300.0
"""How long trials wait for a node that could train them, when the last such node was lost."""
_QUIET_S = 0.2
_LOOK_S = 10.0


@dataclass(frozen=True)
class _TuneEnded:
    """The last message of the channel; `problem` is Tune's traceback if it broke down.

    With `is_hopeless`, no node that is up could train what is left.
    """

    problem: str = ""
    is_hopeless: bool = False


def run_tune(
    unit_source: UnitSource,
    search: Search,
    share: Mapping[str, float],
    datasets: Mapping[str, Any],
    conditions: Conditions,
    points: PointSource | None = None,
) -> Iterator[PointStarted | Quiet | UnitEvent | NodeLost]:
    """Run Tune in a thread and yield the events, so that Ctrl-C reaches their reader.

    `datasets` holds Ray references, and `share` the CPUs and GPUs of one trial. The configs are
    those of `unit_source`, or come from `points`.
    Raises HarnessError if Tune broke down and no trial was unfinished.
    """
    worker_input = WorkerInput(
        unit_source,
        datasets,
        conditions=conditions,
        channel=create_channel(),
        submitted_at=time.time(),
        reports_epochs=search.asha is not None or search.budget_s is not None,
    )
    settings = search_settings(points, search.budget_s)
    threading.Thread(
        target=_tune, args=(worker_input, search, share, settings), daemon=True
    ).start()
    yield from _read_events(worker_input, search, share=share)


def create_channel() -> Any:
    """Return a queue on the driver's node: on another one, every trial would end with that node.

    The queue has started. Raises RequestError if the cluster, which asks this process whether it
    still holds the queue, can't do so.
    """
    from ray.exceptions import ActorDiedError
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pinned = NodeAffinitySchedulingStrategy(get_driver_node(), soft=False)
    channel = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": pinned})
    try:
        channel.qsize()
    except ActorDiedError as error:
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        raise RequestError(
            "The Ray cluster's head node can't reach this process; set RAY_AUTH_MODE, which is "
            f"{mode} here, as it is on the head node."
        ) from error
    return channel


def get_driver_node() -> str:
    from ray import get_runtime_context

    return str(get_runtime_context().get_node_id())


def _has_other_nodes() -> bool:
    """Return whether the cluster has, or had, nodes other than the driver's."""
    from ray import nodes

    return any(node["NodeID"] != get_driver_node() for node in nodes())


def _tune(
    worker_input: WorkerInput,
    search: Search,
    share: Mapping[str, float],
    settings: Mapping[str, Any],
) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="harness-tune-") as folder:
            tuner = _build_tuner(
                worker_input, search, share=share, settings=settings, folder=folder
            )
            with ray_private.skip_callback_census():
                tuner.fit()
        worker_input.channel.put(_TuneEnded())
    except Exception:  # noqa: BLE001  (the reader of the events fails the unfinished trials)
        worker_input.channel.put(_TuneEnded(traceback.format_exc()))


def _build_tuner(
    worker_input: WorkerInput,
    search: Search,
    share: Mapping[str, float],
    settings: Mapping[str, Any],
    folder: str,
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
            **settings,
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
            failure = _explain_death(Path(trial.error_file).read_text(errors="replace"))
            if isinstance(worker_input.unit_source, SearchedUnits):
                # Its worker may have died before it could do so.
                started = PointStarted(trial.config, tuple(_trials_at(worker_input, trial.config)))
                worker_input.channel.put(started)
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


def _read_events(
    worker_input: WorkerInput, search: Search, share: Mapping[str, float]
) -> Iterator[PointStarted | Quiet | UnitEvent | NodeLost]:
    """Yield events until Tune ends; then end each unfinished trial, so that none disappears.

    Raises HarnessError if Tune broke down and no trial was unfinished.
    """
    unit_source = worker_input.unit_source
    unfinished: dict[str, Trial] = {}
    starts: dict[str, Started] = {}
    points: set[str] = set()
    if isinstance(unit_source, FixedUnits):
        unfinished = {trial.id: trial for trial in trials_in(unit_source.units)}
    messages = _receive(worker_input.channel, share)
    while not isinstance(event := next(messages), _TuneEnded):
        if isinstance(event, PointStarted):
            point = canonical_json(dict(event.point))
            if point in points:
                continue
            points.add(point)
            unfinished.update({trial.id: trial for trial in event.trials})
        if isinstance(event, Started):
            starts[event.trial.id] = event
        if isinstance(event, Failed) and event.failure.reason is Reason.KILLED:
            event = _judge_death(event, starts.get(event.trial.id))
        if isinstance(event, Finished | Failed | Stopped | NodeLost):
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
        yield (
            Failed(trial, _NO_NODE)
            if event.is_hopeless
            else _end_trial(trial, search, problem=event.problem)
        )


def _end_trial(trial: Trial, search: Search, problem: str) -> Failed | Stopped:
    """Return the end of a trial that was unfinished when Tune ended."""
    if problem:
        return Failed(trial, _explain_death(problem))
    if search.budget_s:
        message = f"The search used up its budget of {search.budget_s:g} s."
        return Stopped(trial, Failure(Reason.BUDGET, message))
    return Failed(trial, _LOST)


def _judge_death(event: Failed, start: Started | None) -> Failed | NodeLost:
    """Turn the death of a worker on another node into the loss of that node.

    A node that dies takes its workers with it, one after the other. Ray often reports the death of
    the worker first. A worker on the driver's own node was killed by itself.
    """
    if not _has_other_nodes() or (start is not None and start.node_id == get_driver_node()):
        return event
    node = start.node if start is not None else "its node"
    message = (
        f"Ray lost {node}, or something killed the worker there; "
        "submit the sweep again to continue."
    )
    return NodeLost(event.trial, Failure(Reason.LOST, message, log=event.failure.log))


def _receive(channel: Any, share: Mapping[str, float]) -> Iterator[Any]:
    """Yield the messages of the channel, and a Quiet whenever none comes for a moment.

    The last one is _TuneEnded, even if Ray itself breaks down. So it is if no node that is up has
    the share of a trial for too long, as Tune would wait for ever.
    """
    from ray.exceptions import RayError
    from ray.util.queue import Empty

    hopeful_at = looked_at = time.monotonic()
    message: Any = None
    while not isinstance(message, _TuneEnded):
        try:
            message = channel.get(timeout=_QUIET_S)
        except Empty:
            message = Quiet()
        except RayError as error:
            message = _TuneEnded(str(error))
        now = time.monotonic()
        if not isinstance(message, Quiet):
            hopeful_at = looked_at = now
        elif now - looked_at > _LOOK_S:
            looked_at = now
            if find_fitting_nodes(share):
                hopeful_at = now
            elif now - hopeful_at > NODE_PATIENCE_S:
                message = _TuneEnded(is_hopeless=True)
        yield message


def get_addresses() -> frozenset[str]:
    """Return the addresses of the nodes that are up."""
    from ray import nodes

    return frozenset(node["NodeManagerAddress"] for node in nodes() if node["Alive"])


def get_live_nodes() -> list[dict[str, float]]:
    """Return the resources of each node that is up."""
    from ray import nodes

    return [node["Resources"] for node in nodes() if node["Alive"]]


def find_fitting_nodes(share: Mapping[str, float]) -> list[dict[str, float]]:
    """Return the resources of each node that is up and has the share of a trial."""
    return [
        node
        for node in get_live_nodes()
        if node.get("CPU", 0) >= share["cpu"] and node.get("GPU", 0) >= share["gpu"]
    ]
