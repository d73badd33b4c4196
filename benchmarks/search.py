"""Worker seconds until a search has found its front: ours beside three other ways.

    python -m benchmarks.search [--seeds 5] [--points 60] [--workers 2] [--look-s 2] [--quick]

Each point is a small binary MLP on digits, which is really trained, once, whichever ways ask for
it. Its seconds of training are measured. Workers and the device run in simulated time, and the
latency of each network is a known formula. A quarter of the networks, about, keeps the limit.

- random: random points are trained; the device measures them afterwards.
- optuna: Optuna sees accuracy and size; the device measures afterwards.
- waiting: Optuna sees accuracy and latency; a worker waits for the latency of its network.
- harness: networks are measured untrained, and only feasible ones are trained.

The table has the median worker seconds until the feasible points' hypervolume reaches 95 % of the
best known one. It also counts the seeds that got there. For random and optuna, measuring is free.
"""

import argparse
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count, product
from math import inf, isfinite
from statistics import median
from typing import Any

import numpy as np

from benchmarks import parse_options
from harness import data
from harness.config.search import draw_points
from harness.core.feasibility import Interval, compute_violation
from harness.core.forms import Form
from harness.core.rating import CaseKey, CaseReading, Targets
from harness.core.recipe import Recipe
from harness.core.search import Constraint, Objective, Search
from harness.core.sweep import (
    Anatomy,
    Artifact,
    Precision,
    Trial,
    TrialOutcome,
    validation_accuracy,
)
from harness.data import Dataset
from harness.pipeline.device_search import DeviceSearch
from harness.pipeline.first_looks import FirstLooks
from harness.pipeline.point_rows import UnstoredPoints
from harness.pipeline.readings import Readings
from harness.report.hypervolume import accumulate_hypervolume, compute_hypervolume
from harness.sweep.study import ListedStudy, OptunaStudy, SearchPoint, Study
from harness.training.events import Finished
from harness.training.search import SearchedUnits
from harness.training.trial import Stopwatch, warm_up
from harness.training.unit import Conditions, Unit, run_unit

BOARD = "board"
SHARE = 0.95
Point = Mapping[str, Any]
SPACE: dict[str, tuple[Any, ...]] = {
    "layers": (1, 2, 3),
    "units": tuple(range(128, 1025, 128)),
    "rate": (0.0003, 0.001, 0.003, 0.01, 0.1),
}
LIMIT_US = 150.0
LATENCY = Objective("latency", on=BOARD)
SEARCH = Search(
    "optuna",
    trials=1,
    space=SPACE,
    objectives=(Objective("accuracy"), LATENCY),
    constraints=(Constraint("latency", at_most=LIMIT_US, on=BOARD),),
)
TARGETS = Targets({BOARD: [BOARD]}, threads=1)


@dataclass(frozen=True)
class Network:
    """A trained network: its validation accuracy, 0 to 1, and the seconds of its training."""

    accuracy: float
    seconds: float
    outcome: TrialOutcome


def build_trial(point: Point) -> tuple[Trial, ...]:
    parameters = {"layers": point["layers"], "units": point["units"]}
    recipe = Recipe(epochs=4, learning_rate=point["rate"], validation=0.2)
    trial = Trial(
        "mlp",
        parameters,
        chosen=parameters,
        precision=Precision.BINARY,
        dataset="digits",
        recipe=recipe,
        seed=0,
    )
    return (trial,)


@cache
def train(layers: int, units: int, rate: float) -> Network:
    (trial,) = build_trial({"layers": layers, "units": units, "rate": rate})
    events = run_unit(Unit((trial,)), load_digits(), conditions=Conditions(), watch=Stopwatch())
    (outcome,) = (event.outcome for event in events if isinstance(event, Finished))
    accuracy = validation_accuracy(trial.recipe, outcome.curve)
    return Network(accuracy or 0.0, outcome.timings.work_s, outcome=outcome)


@cache
def load_digits() -> Dataset:
    return data.load("digits")


def compute_latency_us(point: Point) -> float:
    """Return a latency as of a device whose time grows with the work of each layer."""
    units = point["units"]
    return float(20 + units / 4 + (point["layers"] - 1) * units**2 / 1500)


class Simulation:
    """Workers and a device in simulated time; `results` are points by worker seconds spent."""

    def __init__(self, workers: int, look_s: float) -> None:
        self.idle = workers
        self.worker_s = 0.0
        self.results: list[tuple[float, Point, Network]] = []
        self._look_s = look_s
        self._now = self._device_free_at = 0.0
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def run(self) -> None:
        while self._events:
            self._now, _, act = heapq.heappop(self._events)
            act()

    def train(self, point: Point, then: Callable[[Network], None]) -> None:
        network = train(point["layers"], point["units"], rate=point["rate"])

        def end() -> None:
            self.worker_s += network.seconds
            self.results.append((self.worker_s, point, network))
            then(network)

        self._call_at(self._now + network.seconds, end)

    def measure(self, then: Callable[[float], None]) -> None:
        """Measure a network after those that wait already; `then` gets the seconds it took."""
        started = self._now
        self._device_free_at = max(self._now, self._device_free_at) + self._look_s
        ended = self._device_free_at
        self._call_at(ended, lambda: then(ended - started))

    def _call_at(self, time_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._numbers), act))


def search_blindly(simulation: Simulation, study: Study, metrics: tuple[str, ...]) -> None:
    """Train each point, and tell its metrics, while the device measures in its own time."""

    def start() -> None:
        point = study.ask()
        if point is not None:
            simulation.train(point.values, lambda network: end(point, network))

    def end(point: SearchPoint, network: Network) -> None:
        size = float(network.outcome.artifacts[0].size_bytes)
        values = {"accuracy": network.accuracy, "size": size}
        study.tell(point.number, [values[metric] for metric in metrics], {})
        start()

    for _ in range(simulation.idle):
        start()
    simulation.run()


def search_waiting(simulation: Simulation, study: Study) -> None:
    """Train each point, and let its worker wait until its latency is there."""

    def start() -> None:
        point = study.ask()
        if point is not None:
            simulation.train(point.values, lambda network: await_latency(point, network))

    def await_latency(point: SearchPoint, network: Network) -> None:
        simulation.measure(lambda waited_s: end(point, network, waited_s=waited_s))

    def end(point: SearchPoint, network: Network, waited_s: float) -> None:
        simulation.worker_s += waited_s
        latency_us = compute_latency_us(point.values)
        (constraint,) = SEARCH.constraints
        violations = {str(constraint): compute_violation(constraint, latency_us)}
        study.tell(point.number, [network.accuracy, latency_us], violations)
        start()

    for _ in range(simulation.idle):
        start()
    simulation.run()


class KnownLooks(FirstLooks):
    """Untrained networks that are built in no time."""

    def __init__(self) -> None:
        self.artifacts, self.failures = {}, {}

    def request(self, forms: Iterable[Form]) -> None:
        for form in forms:
            anatomy = Anatomy({}, binary_macs=None, float_macs=None)
            self.artifacts[form.id] = Artifact(form.id, "tflite", size_bytes=1, anatomy=anatomy)

    def collect(self) -> None:
        pass


def search_with_device(simulation: Simulation, study: Study) -> None:
    """Search as the harness does."""
    readings = Readings(lambda *_: (), protocol="simulated")
    points: dict[str, Point] = {}

    def find_form(trial: Trial) -> Form:
        return Form.of_trial(trial, (8, 8, 1), 10, converter="none")

    def measure(artifacts: Sequence[str]) -> None:
        for artifact in artifacts:
            simulation.measure(partial(take_reading, artifact))

    def take_reading(artifact: str, _seconds: float) -> None:
        us = compute_latency_us(points[artifact])
        reading = CaseReading(Interval(us, us, high=us), processes=20)
        readings.by_case[CaseKey(artifact, BOARD, threads=1)] = reading
        go_on()

    def go_on() -> None:
        for _ in search.advance():
            pass
        while simulation.idle and (values := search.take()) is not None:
            simulation.idle -= 1
            (trial,) = build_trial(values)
            simulation.train(values, partial(end, trial))

    def end(trial: Trial, network: Network) -> None:
        simulation.idle += 1
        search.note(Finished(trial, network.outcome))
        go_on()

    for layers, units in product(SPACE["layers"], SPACE["units"]):
        point = {"layers": layers, "units": units, "rate": 0.1}
        points[find_form(build_trial(point)[0]).id] = point
    search = DeviceSearch(
        study,
        SearchedUnits(build_trial),
        search=SEARCH,
        targets=TARGETS,
        looks=KnownLooks(),
        readings=readings,
        find_form=find_form,
        measure=measure,
        rows=UnstoredPoints(),
    )
    go_on()
    simulation.run()


def run_way(way: str, seed: int, options: argparse.Namespace) -> Simulation:
    simulation = Simulation(options.workers, options.look_s)
    request = replace(SEARCH, trials=options.points, seed=seed)
    by_size = replace(request, objectives=(Objective("accuracy"), Objective("size")))
    match way:
        case "random":
            listed = ListedStudy(draw_points(request), build_trial)
            search_blindly(simulation, listed, metrics=())
        case "optuna":
            adaptive = OptunaStudy(replace(by_size, constraints=()), build_trial)
            search_blindly(simulation, adaptive, metrics=("accuracy", "size"))
        case "waiting":
            search_waiting(simulation, OptunaStudy(request, build_trial))
        case _:
            search_with_device(simulation, OptunaStudy(request, build_trial))
    return simulation


def list_gains(simulation: Simulation) -> Any:
    """Return accuracy and the free share of the limit; NaN for points that exceed it."""
    rows = []
    for _, point, network in simulation.results:
        free = 1 - compute_latency_us(point) / LIMIT_US
        rows.append((network.accuracy, free) if free >= 0 else (np.nan, np.nan))
    return np.array(rows).reshape(-1, 2)


def find_seconds(simulation: Simulation, volume: float) -> float:
    """Return the worker seconds until the hypervolume was reached; infinite if it never was."""
    volumes = accumulate_hypervolume(list_gains(simulation))
    for reached, (seconds, _, _) in zip(volumes, simulation.results, strict=True):
        if reached >= volume:
            return seconds
    return inf


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways to search with a device.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--look-s", type=float, default=2.0)
    options = parse_options(parser, seeds=1, points=2)
    warm_up(threads=1, use_gpu=False)
    ways = ("random", "optuna", "waiting", "harness")
    runs: dict[str, list[Simulation]] = {}
    all_gains: list[Any] = []
    for way in ways:
        runs[way] = [run_way(way, seed, options=options) for seed in range(options.seeds)]
        all_gains += map(list_gains, runs[way])
    gains = np.vstack(all_gains)
    best = compute_hypervolume(gains[~np.isnan(gains).any(axis=1)])
    print(f"best known hypervolume: {best:.3f} of 1; a look takes {options.look_s:g} s")
    print(f"{'way':<10}{'worker seconds to 95 %':>24}{'seeds':>8}{'trained':>9}{'all, s':>9}")
    for way, of_way in runs.items():
        seconds = [find_seconds(run, SHARE * best) for run in of_way]
        reached = sum(map(isfinite, seconds))
        trained = median(len(run.results) for run in of_way)
        total = median(run.worker_s for run in of_way)
        needed = f"{median(seconds):.1f}" if isfinite(median(seconds)) else "never"
        print(f"{way:<10}{needed:>24}{f'{reached}/{len(seconds)}':>8}{trained:>9g}{total:>9.1f}")


if __name__ == "__main__":
    main()
