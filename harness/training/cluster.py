"""The door to Ray: trials in, events out. Results come back through Ray, so nodes share no file system."""

import logging
import os
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.core.errors import HarnessError, Reason, RequestError, first_line
from harness.core.sweep import Failure, Resources, Trial
from harness.training.events import Event, Failed, Finished, Ready, TrialEvent

# What Ray writes where its own memory monitor ended a worker; the kernel's killer leaves no such trace.
_RAY_OUT_OF_MEMORY = ("NODE_OUT_OF_MEMORY", "OutOfMemoryError", "running low on memory")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress table; the events are shown by ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its result files; rows go to the database
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about a default that is to change
}
_KNOCK_S = 10.0
_LOST = Failure(Reason.LOST, "Ray ended without a word about this trial; submit again to go on.")


@dataclass(frozen=True)
class _Ended:
    """Tune has ended; `problem` is its traceback where it should not have."""

    problem: str = ""


def train(trials: Sequence[Trial], resources: Resources, address: str | None = None) -> Iterator[Event]:
    """Runs every trial and yields what happens, a Finished or a Failed for each trial in the end.

    Starts Ray on this machine where `address` is None. Raises RequestError where no node has what one trial asks for.
    """
    with _ray(address) as ray:
        share = _share(ray, resources)
        yield Ready()
        channel = _channel()
        thread = threading.Thread(target=_tune, args=(trials, share, channel), daemon=True)
        thread.start()
        yield from _events(channel, trials)


@contextmanager
def _ray(address: str | None) -> Iterator[Any]:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is not None:
        _knock(address)
    import ray

    # What Ray logs and prints of a trial is an event of ours.
    logging.disable(logging.CRITICAL)
    ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env=_code() if address else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        words = first_line(error)
        if address is None:
            raise HarnessError(f"Can't start Ray on this machine: {words}; see `harness doctor`.") from error
        hint = "if it asks for a token, set RAY_AUTH_MODE=token and the token here."
        raise RequestError(f"--address {address}: can't be joined: {words}; {hint}") from error
    try:
        yield ray
    finally:
        ray.shutdown()
        logging.disable(logging.NOTSET)


def _knock(address: str) -> None:
    """Raises RequestError where nobody answers: Ray itself would try for a quarter of an hour."""
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        if address == "auto":
            return
        if not place.hostname or not place.port:
            raise RequestError(f"--address {address!r}: has to look like HOST:PORT, or be auto.")
        socket.create_connection((place.hostname, place.port), _KNOCK_S).close()
    except (OSError, ValueError) as error:
        raise RequestError(f"--address {address}: nobody answers there ({error}); is the Ray cluster up?") from error


def _code() -> dict[str, Any]:
    """Another cluster's workers get this very code from Ray; they need the packages, not the checkout."""
    import harness

    return {"py_modules": [harness]}


def _share(ray: Any, resources: Resources) -> dict[str, float]:
    """What one trial takes of its node. Raises RequestError where no node has as much: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpu = resources.gpu
    if gpu == "auto":
        gpu = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    share = {"cpu": resources.cpu, "gpu": gpu}
    if not any(node.get("CPU", 0) >= share["cpu"] and node.get("GPU", 0) >= share["gpu"] for node in nodes):
        largest = {kind: max(node.get(kind.upper(), 0) for node in nodes) for kind in share}
        raise RequestError(
            f"resources: a trial asks for {share['cpu']:g} CPU and {share['gpu']:g} GPU, "
            f"but no node has both (at most {largest['cpu']:g} CPU, {largest['gpu']:g} GPU); "
            "lower resources.cpu or resources.gpu."
        )
    return share


def _channel() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _tune(trials: Sequence[Trial], share: dict[str, float], channel: Any) -> None:
    """Runs in a thread of its own, so that Ctrl-C reaches the reader of the events."""
    try:
        with tempfile.TemporaryDirectory(prefix="harness-tune-") as folder:
            _tuner(trials, share, channel, folder).fit()
        channel.put(_Ended())
    except Exception:  # noqa: BLE001  (told to the reader, which fails the trials that are left)
        channel.put(_Ended(traceback.format_exc()))


def _tuner(trials: Sequence[Trial], share: dict[str, float], channel: Any, folder: str) -> Any:
    from ray import tune

    from harness.training.worker import Worker

    setup = {"trials": trials, "channel": channel, "submitted_at": time.time(), "threads": max(1, round(share["cpu"]))}
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(Worker, **setup), share),
        param_space={"index": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            verbose=0,
            callbacks=[_death_watch(trials, channel)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _death_watch(swept: Sequence[Trial], channel: Any) -> Any:
    """Tells of trials whose worker died: everything else the worker tells itself."""
    from ray import tune

    class DeathWatch(tune.Callback):  # type: ignore[misc]  # Ray ships no types for it
        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            channel.put(Failed(swept[trial.config["index"]], _death(Path(trial.error_file).read_text())))

    return DeathWatch()


def _death(text: str) -> Failure:
    if any(words in text for words in _RAY_OUT_OF_MEMORY):
        return Failure(
            Reason.OUT_OF_MEMORY,
            "Ray ended the worker as its node ran out of memory; lower train.batch_size or raise resources.cpu.",
            text,
        )
    return Failure(
        Reason.KILLED,
        "The worker process died before the trial ended: something killed it; submit again to go on.",
        text,
    )


def _events(channel: Any, trials: Sequence[Trial]) -> Iterator[TrialEvent]:
    """Every event until the end; then a Failed for each trial that has not ended, so that none disappears."""
    open_trials = {trial.id: trial for trial in trials}
    while not isinstance(event := _next(channel), _Ended):
        if isinstance(event, Finished | Failed) and open_trials.pop(event.trial.id, None) is None:
            continue
        yield event
    for trial in open_trials.values():
        yield Failed(trial, _death(event.problem) if event.problem else _LOST)


def _next(channel: Any) -> Any:
    """What the channel holds next; the end, where Ray itself has broken down."""
    from ray.exceptions import RayError

    try:
        return channel.get()
    except RayError as error:
        return _Ended(str(error))
