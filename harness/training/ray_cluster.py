"""Training on Ray: trials in, events out.

Results come back through Ray, so that nodes need no shared file system.
"""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from harness.config.search import list_corners
from harness.core.errors import HarnessError, Reason, RequestError, first_line
from harness.core.search import Search
from harness.core.sweep import Failure, Resources, Trial
from harness.data import Dataset
from harness.models.custom import find_user_modules
from harness.training import ray_private
from harness.training.events import ClusterReady, Event, Failed, Retried
from harness.training.ray_address import check_listening
from harness.training.ray_tune import run_tune
from harness.training.search import FixedUnits, UnitSource
from harness.training.unit import Conditions, Unit, group_trials, trials_in

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress table: the harness shows its own
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its result files: rows go to the database
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports no accuracy
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about a default that will change
}
_ANSWER_S = 10.0


def train(
    unit_source: UnitSource,
    datasets: Mapping[str, Dataset | Failure],
    resources: Resources,
    search: Search = Search(),  # noqa: B008  (frozen)
    address: str | None = None,
) -> Iterator[Event]:
    """Train all units and yield the events; each trial ends with a Finished, Failed or Stopped.

    Ray starts on this machine if `address` is None. It copies `datasets`, the trials' data sets by
    name, to its nodes. A Failure in place of a data set fails the trials that need it.
    A trial that runs out of memory is tried once more after the others, alone on its node.
    Raises RequestError if no node has the resources of a trial.
    """
    with _join_ray(address, _code_paths(unit_source, search) if address else ()) as ray:
        share = _plan_share(ray, resources)
        conditions = Conditions(
            max(1, round(share["cpu"])), resources.checkpoint_s, gpus=share["gpu"]
        )
        references = {name: ray.put(dataset) for name, dataset in datasets.items()}
        yield ClusterReady()
        out_of_memory: list[Trial] = []
        for event in run_tune(
            unit_source, search, share=share, datasets=references, conditions=conditions
        ):
            if isinstance(event, Failed) and event.failure.reason is Reason.OUT_OF_MEMORY:
                out_of_memory.append(event.trial)
                yield Retried(event.trial, event.failure)
            else:
                yield event
        if out_of_memory:
            yield from run_tune(
                FixedUnits(group_trials(out_of_memory, {})),
                Search(),
                share=_plan_whole_node(ray, share),
                datasets=references,
                conditions=conditions,
            )


@contextmanager
def _join_ray(address: str | None, code_paths: Sequence[str]) -> Iterator[Any]:
    """Start Ray, or join the cluster at `address`, whose workers get the code at `code_paths`."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is not None:
        _check_cluster(address)
    import ray

    # The harness reports as events what Ray logs and prints of a trial.
    logging.disable(logging.CRITICAL)
    with ray_private.silence_worker_errors():
        try:
            _init_ray(ray, address, code_paths)
            yield ray
        finally:
            ray.shutdown()
            logging.disable(logging.NOTSET)


def _init_ray(ray: Any, address: str | None, code_paths: Sequence[str]) -> None:
    """Raise HarnessError if Ray does not start, RequestError if it cannot join the cluster."""
    try:
        with ray_private.keep_sigterm_handler():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env={"py_modules": list(code_paths)} if address else None,
            )
    except Exception as error:  # a node that starts too slowly is a plain Exception of Ray's
        reason = first_line(error)
        if address is None:
            raise HarnessError(
                f"Cannot start Ray on this machine: {reason}; run `harness doctor`."
            ) from error
        raise RequestError(
            f"--address {address}: cannot join the Ray cluster: {reason}; "
            "if it needs a token, set RAY_AUTH_MODE=token and the token in this shell."
        ) from error


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


def _code_paths(unit_source: UnitSource, search: Search) -> list[str]:
    """Return the paths of this package and of the modules with the user's own networks.

    Workers of another cluster have the installed packages, but not the checkout.
    """
    import harness

    units: list[Unit] = []
    if isinstance(unit_source, FixedUnits):
        units += unit_source.units
    else:
        for point in list_corners(search):
            units += unit_source.units_at(point)
    modules = [harness, *find_user_modules(trials_in(units))]
    return [next(iter(getattr(module, "__path__", ())), str(module.__file__)) for module in modules]


def _live_nodes(ray: Any) -> list[dict[str, float]]:
    """Return the resources of each node that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _plan_share(ray: Any, resources: Resources) -> dict[str, float]:
    """Return the CPUs and GPUs of one trial.

    Raises RequestError if no node has as many: Ray would wait for ever.
    """
    nodes = _live_nodes(ray)
    gpu = resources.gpu
    if gpu == "auto":
        gpu = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    share = {"cpu": resources.cpu, "gpu": gpu}
    if any(node.get("CPU", 0) >= share["cpu"] and node.get("GPU", 0) >= gpu for node in nodes):
        return share
    most_cpus = max(node.get("CPU", 0) for node in nodes)
    most_gpus = max(node.get("GPU", 0) for node in nodes)
    raise RequestError(
        f"resources: a trial asks for {share['cpu']:g} CPU and {share['gpu']:g} GPU, "
        f"but no node has both (at most {most_cpus:g} CPU, {most_gpus:g} GPU); "
        "lower resources.cpu or resources.gpu."
    )


def _plan_whole_node(ray: Any, share: Mapping[str, float]) -> dict[str, float]:
    """Return the share with which a trial has the largest node that fits it to itself."""
    nodes = _live_nodes(ray)
    fitting = [node for node in nodes if node.get("GPU", 0) >= share["gpu"]]
    return {
        "cpu": max(node.get("CPU", 0) for node in fitting or nodes),
        "gpu": math.ceil(share["gpu"]),
    }
