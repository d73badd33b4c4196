"""Training on Ray: trials in, events out.

Results come back through Ray, so that nodes need no shared file system.
"""

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.config.search import list_corners
from harness.core.errors import HarnessError, Reason, RequestError, first_line
from harness.core.search import Search
from harness.core.sweep import Failure, Resources, Trial
from harness.data import Dataset
from harness.models.custom import find_user_modules
from harness.training import ray_private
from harness.training.events import ClusterReady, Event, Failed, NodeLost, Retried
from harness.training.points import PointSource
from harness.training.ray_address import check_listening
from harness.training.ray_tune import (
    find_fitting_nodes,
    get_addresses,
    get_live_nodes,
    run_tune,
)
from harness.training.search import CheckpointLoader, FixedUnits, UnitSource
from harness.training.unit import Conditions, Unit, group_trials, trials_in

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress table: the harness shows its own
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its result files: rows go to the database
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports no accuracy
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about a default that will change
}
_ANSWER_S = 10.0
MAX_TRIES = 3
"""How often a trial is started whose node is lost every time."""


def train(
    unit_source: UnitSource,
    datasets: Mapping[str, Dataset | Failure],
    resources: Resources,
    search: Search = Search(),  # noqa: B008  (frozen)
    address: str | None = None,
    load_checkpoints: CheckpointLoader = lambda _: {},
    points: PointSource | None = None,
) -> Iterator[Event]:
    """Train all units and yield the events; each trial ends with a Finished, Failed or Stopped.

    `points` gives out the points to train if a search chooses them.
    Ray starts on this machine if `address` is None. It copies `datasets`, the trials' data sets by
    name, to its nodes. A Failure in place of a data set fails the trials that need it.
    A trial that runs out of memory is tried once more after the others, alone on its node. One that
    a lost node interrupted is tried again on another, up to MAX_TRIES times in all. Both continue
    from the checkpoints that `load_checkpoints` returns for their trainings.
    Raises RequestError if no node has the resources of a trial.
    """
    with _join_ray(address, _code_paths(unit_source, search) if address else ()) as ray:
        share = _plan_share(resources)
        conditions = Conditions(
            max(1, round(share["cpu"])), resources.checkpoint_s, gpus=share["gpu"]
        )
        references = {name: ray.put(dataset) for name, dataset in datasets.items()}
        yield ClusterReady(get_addresses())
        started = time.monotonic()
        run = partial(run_tune, datasets=references, conditions=conditions)
        retries = _Retries()
        yield from retries.sort_out(run(unit_source, search, share=share, points=points))
        while trials := retries.take():
            checkpoints = load_checkpoints({trial.training for trial in trials})
            yield from retries.sort_out(
                run(
                    FixedUnits(group_trials(trials, checkpoints)),
                    _limit_retries(search, elapsed_s=time.monotonic() - started),
                    share=_plan_whole_node(share) if retries.alone else share,
                )
            )


@dataclass
class _Retries:
    """The trials of a sweep that are tried again.

    Those that a lost node interrupted come first. Those that ran out of memory follow, each `alone`
    on its node. `losses` counts how often a trial lost its node.
    """

    lost: list[Trial] = field(default_factory=list)
    out_of_memory: list[Trial] = field(default_factory=list)
    alone: bool = False
    losses: Counter[str] = field(default_factory=Counter)

    def sort_out(self, events: Iterable[Event | NodeLost]) -> Iterator[Event]:
        """Yield the events, with a Retried in place of each end that is not final."""
        for event in events:
            match event:
                case NodeLost(trial, failure):
                    yield self._count_loss(trial, failure)
                case Failed(trial, failure) if (
                    failure.reason is Reason.OUT_OF_MEMORY and not self.alone
                ):
                    self.out_of_memory.append(trial)
                    yield Retried(trial, failure)
                case _:
                    yield event

    def take(self) -> list[Trial]:
        """Return the trials to try next, and forget them."""
        self.alone = not self.lost
        trials = self.out_of_memory if self.alone else self.lost
        batch = trials.copy()
        trials.clear()
        return batch

    def _count_loss(self, trial: Trial, failure: Failure) -> Retried | Failed:
        self.losses[trial.id] += 1
        if self.losses[trial.id] == MAX_TRIES:
            return Failed(trial, failure)
        self.lost.append(trial)
        return Retried(trial, failure)


def _limit_retries(search: Search, elapsed_s: float) -> Search:
    """Return the search of trials that are tried again: what is left of the time, and no rivals."""
    if search.budget_s is None:
        return Search()
    return Search(budget_s=max(1.0, search.budget_s - elapsed_s))


@contextmanager
def _join_ray(address: str | None, code_paths: Sequence[str]) -> Iterator[Any]:
    """Start Ray, or join the cluster at `address`, whose workers get the code at `code_paths`.

    Variables that Ray sets are gone afterwards: they would keep it from joining another cluster.
    """
    if address is not None:
        _check_cluster(address)
    environment = dict(os.environ)
    os.environ.update({**_ENVIRONMENT, **environment})
    import ray

    # The harness reports as events what Ray logs and prints of a trial.
    logging.disable(logging.CRITICAL)
    with ray_private.silence_worker_errors():
        try:
            _init_ray(ray, address, code_paths=code_paths)
            yield ray
        finally:
            ray.shutdown()
            logging.disable(logging.NOTSET)
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)  # never empty: lanes start programs meanwhile


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


def _plan_share(resources: Resources) -> dict[str, float]:
    """Return the CPUs and GPUs of one trial.

    Raises RequestError if no node has as many: Ray would wait for ever.
    """
    nodes = get_live_nodes()
    gpu = resources.gpu
    if gpu == "auto":
        gpu = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    share = {"cpu": resources.cpu, "gpu": gpu}
    if find_fitting_nodes(share):
        return share
    most_cpus = max(node.get("CPU", 0) for node in nodes)
    most_gpus = max(node.get("GPU", 0) for node in nodes)
    raise RequestError(
        f"resources: no node has the {share['cpu']:g} CPU and {share['gpu']:g} GPU of a trial "
        f"(at most {most_cpus:g} CPU, {most_gpus:g} GPU); lower resources.cpu or resources.gpu."
    )


def _plan_whole_node(share: Mapping[str, float]) -> dict[str, float]:
    """Return the share with which a trial has the largest node that fits it to itself."""
    nodes = get_live_nodes()
    fitting = [node for node in nodes if node.get("GPU", 0) >= share["gpu"]]
    return {
        "cpu": max(node.get("CPU", 0) for node in fitting or nodes),
        "gpu": math.ceil(share["gpu"]),
    }
