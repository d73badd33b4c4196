"""The door to Ray: trials in, events out. Results come back through Ray, so nodes share no file system."""

import logging
import math
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.search import list_corners
from harness.core.errors import HarnessError, Reason, RequestError, first_line
from harness.core.search import Search
from harness.core.sweep import Failure, Resources, Trial
from harness.data import Dataset
from harness.models.custom import modules_of
from harness.training import ray_private
from harness.training.events import (
    ClusterReady,
    Event,
    Failed,
    Finished,
    PointStarted,
    Retried,
    Stopped,
    UnitEvent,
)
from harness.training.ray_address import check_listening
from harness.training.search import FixedUnits, UnitSource, scheduler
from harness.training.unit import Conditions, group_trials
from harness.training.worker_input import WorkerInput

# What Ray writes where its own memory monitor ended a worker; the kernel's killer leaves no such trace.
_RAY_OUT_OF_MEMORY = ("NODE_OUT_OF_MEMORY", "OutOfMemoryError", "running low on memory")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress table; the events are shown by ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its result files; rows go to the database
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has no accuracy to tell
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about a default that is to change
}
_ANSWER_S = 10.0
_LOST = Failure(Reason.LOST, "Ray ended without a word about this trial; submit again to go on.")


@dataclass(frozen=True)
class _Ended:
    """Tune has ended; `problem` is its traceback where it should not have."""

    problem: str = ""


def train(
    work: UnitSource,
    datasets: Mapping[str, Dataset | Failure],
    resources: Resources,
    search: Search = Search(),  # noqa: B008  (frozen)
    address: str | None = None,
) -> Iterator[Event]:
    """Runs all of it and yields what happens, for each trial in the end a Finished, a Failed or a Stopped.

    Starts Ray on this machine where `address` is None. `datasets` are those of the trials, by name: Ray takes them to
    its nodes; one that can't be had fails the trials that need it. What runs out of memory is tried once more after the
    others, with a node for itself. Raises RequestError where no node has what one unit asks for.
    """
    with _ray(address, _code(work, search) if address else ()) as ray:
        share = _share(ray, resources)
        conditions = Conditions(max(1, round(share["cpu"])), resources.checkpoint_s)
        held = {name: ray.put(dataset) for name, dataset in datasets.items()}
        yield ClusterReady()
        hungry: list[Trial] = []
        for event in _run(work, search, share=share, held=held, conditions=conditions):
            if isinstance(event, Failed) and event.failure.reason is Reason.OUT_OF_MEMORY:
                hungry.append(event.trial)
                yield Retried(event.trial, event.failure)
            else:
                yield event
        if hungry:
            yield from _run(
                FixedUnits(group_trials(hungry, {})),
                Search(),
                share=_alone(ray, share),
                held=held,
                conditions=conditions,
            )


def _run(
    work: UnitSource,
    search: Search,
    share: Mapping[str, float],
    held: Mapping[str, Any],
    conditions: Conditions,
) -> Iterator[PointStarted | UnitEvent]:
    """What happens until the last trial has ended."""
    channel = _channel()
    reports = search.asha is not None or search.budget_s is not None
    job = WorkerInput(
        work,
        held,
        conditions=conditions,
        channel=channel,
        submitted_at=time.time(),
        reports=reports,
    )
    threading.Thread(target=_tune, args=(job, search, share), daemon=True).start()
    yield from _events(job, search)


@contextmanager
def _ray(address: str | None, code: Sequence[str]) -> Iterator[Any]:
    """Workers of another cluster get the packages and modules at the paths of `code` from Ray."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is not None:
        _check_cluster(address)
    import ray

    # What Ray logs and prints of a trial is an event of ours.
    logging.disable(logging.CRITICAL)
    ray_private.silence_worker_errors()
    polite = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env={"py_modules": list(code)} if address else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        words = first_line(error)
        if address is None:
            raise HarnessError(
                f"Can't start Ray on this machine: {words}; see `harness doctor`."
            ) from error
        hint = "if it asks for a token, set RAY_AUTH_MODE=token and the token here."
        raise RequestError(f"--address {address}: can't be joined: {words}; {hint}") from error
    signal.signal(signal.SIGTERM, polite)  # Ray has put one in its place that aborts the process
    try:
        yield ray
    finally:
        ray.shutdown()
        logging.disable(logging.NOTSET)


def _check_cluster(address: str) -> None:
    """Raise RequestError unless a cluster listens at the address: Ray retries for 15 minutes."""
    if address == "auto":
        return
    try:
        check_listening(address, _ANSWER_S)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--address {address}: no Ray cluster answers there: {first_line(error)}; "
            "give HOST:PORT of a running cluster, or auto."
        ) from error


def _code(work: UnitSource, search: Search) -> list[str]:
    """This very code, and the modules of the user's own networks: workers need the packages, not the checkout."""
    import harness

    if isinstance(work, FixedUnits):
        units = work.units
    else:
        units = tuple(unit for corner in list_corners(search) for unit in work.units_at(corner))
    modules = [harness, *modules_of(trial for unit in units for trial in unit.trials)]
    return [next(iter(getattr(module, "__path__", ())), str(module.__file__)) for module in modules]


def _nodes(ray: Any) -> list[dict[str, float]]:
    """What each node that is up has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _share(ray: Any, resources: Resources) -> dict[str, float]:
    """What one trial takes of its node. Raises RequestError where no node has as much: Ray would wait for ever."""
    nodes = _nodes(ray)
    gpu = resources.gpu
    if gpu == "auto":
        gpu = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    share = {"cpu": resources.cpu, "gpu": gpu}
    if not any(
        node.get("CPU", 0) >= share["cpu"] and node.get("GPU", 0) >= share["gpu"] for node in nodes
    ):
        largest = {kind: max(node.get(kind.upper(), 0) for node in nodes) for kind in share}
        raise RequestError(
            f"resources: a trial asks for {share['cpu']:g} CPU and {share['gpu']:g} GPU, "
            f"but no node has both (at most {largest['cpu']:g} CPU, {largest['gpu']:g} GPU); "
            "lower resources.cpu or resources.gpu."
        )
    return share


def _alone(ray: Any, share: Mapping[str, float]) -> dict[str, float]:
    """The share of whoever is to have the largest node that takes it for itself."""
    nodes = _nodes(ray)
    fitting = [node for node in nodes if node.get("GPU", 0) >= share["gpu"]]
    return {
        "cpu": max(node.get("CPU", 0) for node in fitting or nodes),
        "gpu": math.ceil(share["gpu"]),
    }


def _channel() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _tune(job: WorkerInput, search: Search, share: Mapping[str, float]) -> None:
    """Runs in a thread of its own, so that Ctrl-C reaches the reader of the events."""
    try:
        with tempfile.TemporaryDirectory(prefix="harness-tune-") as folder:
            _tuner(job, search, share=share, folder=folder).fit()
        job.channel.put(_Ended())
    except Exception:  # noqa: BLE001  (told to the reader, which fails the trials that are left)
        job.channel.put(_Ended(traceback.format_exc()))


def _tuner(job: WorkerInput, search: Search, share: Mapping[str, float], folder: str) -> Any:
    from ray import tune

    from harness.training.worker import Worker

    return tune.Tuner(
        tune.with_resources(tune.with_parameters(Worker, job=job), dict(share)),
        param_space=job.work.param_space(),
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            time_budget_s=search.budget_s,
            **job.work.tuner_settings(search),
            **scheduler(search.asha),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            verbose=0,
            callbacks=[_watch(job)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _watch(job: WorkerInput) -> Any:
    """Tells of trials whose worker died, and of those that were ended early: all else the worker tells itself."""
    from ray import tune

    class Watch(tune.Callback):  # type: ignore[misc]  # Ray ships no types for it
        def on_trial_error(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            failure = _death(Path(trial.error_file).read_text())
            for left in _trials(job, trial.config):  # those that had ended keep what they told
                job.channel.put(Failed(left, failure))

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            if not trial.last_result.get("ended"):
                cause = Failure(
                    Reason.OUTCLASSED,
                    f"Others did better after {trial.last_result.get('epoch')} epochs.",
                )
                for left in _trials(job, trial.config):
                    job.channel.put(Stopped(left, cause))

    return Watch()


def _trials(job: WorkerInput, config: Mapping[str, Any]) -> list[Trial]:
    return [trial for unit in job.work.units_at(config) for trial in unit.trials]


def _death(text: str) -> Failure:
    if any(words in text for words in _RAY_OUT_OF_MEMORY):
        return Failure(
            Reason.OUT_OF_MEMORY,
            "Ray ended the worker as its node ran out of memory; lower train.batch_size or raise resources.cpu.",
            log=text,
        )
    return Failure(
        Reason.KILLED,
        "The worker process died before the trial ended: something killed it; submit again to go on.",
        log=text,
    )


def _events(job: WorkerInput, search: Search) -> Iterator[PointStarted | UnitEvent]:
    """Every event until the end; then one for each trial that has not ended, so that none disappears.

    Raises HarnessError where Tune broke down with nothing under way.
    """
    listed = job.work.units if isinstance(job.work, FixedUnits) else ()
    open_trials = {trial.id: trial for unit in listed for trial in unit.trials}
    while not isinstance(event := _next(job.channel), _Ended):
        if isinstance(event, PointStarted):
            open_trials.update({trial.id: trial for trial in event.trials})
        if (
            isinstance(event, Finished | Failed | Stopped)
            and open_trials.pop(event.trial.id, None) is None
        ):
            continue
        yield event
    if event.problem and not open_trials:
        told = event.problem.strip().splitlines()[-1]
        raise HarnessError(
            f"Ray Tune ended before its time: {told.rstrip('.')}; submit again to go on."
        )
    for trial in open_trials.values():
        if search.budget_s and not event.problem:
            yield Stopped(
                trial,
                Failure(Reason.BUDGET, f"The search's budget of {search.budget_s:g} s had ended."),
            )
        else:
            yield Failed(trial, _death(event.problem) if event.problem else _LOST)


def _next(channel: Any) -> Any:
    """What the channel holds next; the end, where Ray itself has broken down."""
    from ray.exceptions import RayError

    try:
        return channel.get()
    except RayError as error:
        return _Ended(str(error))
