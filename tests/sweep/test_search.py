"""A search takes points, hears how their trials end, and continues after a kill at any moment."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from harness.config.sweep_file import Point, read_sweep
from harness.core.errors import Reason
from harness.core.ids import canonical_json
from harness.core.search import ACCURACY, Constraint, Objective, Range, Search
from harness.core.sweep import Failure, Trial
from harness.store.database import open_database
from harness.store.rows.trials import TrialRows
from harness.sweep.results import PointResults, TrainedNetwork
from harness.sweep.resume import TriedPoint
from harness.sweep.search import SweepSearch, resume_search
from harness.sweep.study import SearchPoint
from harness.sweep.trials import build_trials_at
from harness.training.events import Failed, Finished, PointStarted, Retried, Stopped, SweepEvent
from harness.training.search import Config
from tests.store.examples import make_outcome
from tests.sweep.test_study import build_trials

SPACE: dict[str, Any] = {"units": Range(8, 64, step=8), "rate": (0.1, 0.2)}
SIZE_LIMIT = Constraint("size", at_most=100)
SEARCH = Search(
    "optuna",
    trials=4,
    space=SPACE,
    objectives=(ACCURACY, Objective("size")),
    constraints=(SIZE_LIMIT,),
)
FIRST, SECOND, THIRD = ({"units": units, "rate": 0.1} for units in (8, 16, 24))
OUTCLASSED = Failure(Reason.OUTCLASSED, "Others did better.")
OUT_OF_TIME = Failure(Reason.BUDGET, "The time is up.")
KILLED = Failure(Reason.KILLED, "Something killed it.")


class RecordedStudy:
    """A study that gives out a list of points, and writes down what it hears of each."""

    def __init__(self, points: Sequence[Config]) -> None:
        self.waiting = list(points)
        self.points: list[Config] = []
        self.reports: list[tuple[str, Any]] = []

    @property
    def remaining(self) -> int:
        return len(self.waiting)

    @property
    def draws_blindly(self) -> bool:
        return True

    def ask(self) -> SearchPoint | None:
        return self.adopt(self.waiting.pop(0)) if self.waiting else None

    def adopt(self, values: Config) -> SearchPoint:
        self.points.append(values)
        return SearchPoint(len(self.points) - 1, values, trials=build_trials(values))

    def tell(
        self, number: int, objectives: Sequence[float], violations: Mapping[str, float]
    ) -> None:
        self.reports.append((f"tell {number}", (tuple(objectives), dict(violations))))

    def prune(self, number: int, violations: Mapping[str, float]) -> None:
        self.reports.append((f"prune {number}", dict(violations)))

    def fail(self, number: int) -> None:
        self.reports.append((f"fail {number}", None))


def finish(trial: Trial, accuracy: float | None = 0.5, size: int = 50) -> Finished:
    outcome = make_outcome(trial, trial.id.encode()[:1] * size)
    curve = tuple(replace(epoch, validation_accuracy=accuracy) for epoch in outcome.curve)
    return Finished(trial, replace(outcome, curve=curve))


def open_search(study: RecordedStudy, tried: Sequence[TriedPoint] = ()) -> SweepSearch:
    return SweepSearch(SEARCH, study, build_trials=build_trials, tried_points=tried)


def test_a_point_is_told_when_its_last_trial_has_finished() -> None:
    study = RecordedStudy([FIRST])
    search = open_search(study)
    assert search.take() == FIRST
    assert search.is_exhausted
    assert search.take() is None
    binary, float_twin = build_trials(FIRST)
    search.note(PointStarted(FIRST, (binary, float_twin)))
    search.note(finish(binary, accuracy=0.6, size=50))
    search.note(Retried(float_twin, KILLED))
    assert study.reports == []
    search.note(finish(float_twin, accuracy=0.8, size=200))
    ((report, (objectives, violations)),) = study.reports
    assert report == "tell 0"
    assert objectives == (pytest.approx(0.7), 125)
    assert violations == {str(SIZE_LIMIT): pytest.approx(0.6931, abs=1e-4)}, "of the larger one"
    search.note(finish(float_twin))
    assert len(study.reports) == 1


@pytest.mark.parametrize(
    ("end", "reports"),
    [
        (partial(Failed, failure=KILLED), [("fail 0", None)]),
        (partial(Stopped, cause=OUTCLASSED), [("prune 0", {})]),
        (partial(Stopped, cause=OUT_OF_TIME), []),
    ],
    ids=["failed", "outclassed", "out of time"],
)
def test_a_point_that_did_not_finish_does_not_stop_the_search(
    end: Callable[[Trial], Any], reports: list[Any]
) -> None:
    study = RecordedStudy([FIRST, SECOND])
    search = open_search(study)
    search.take()
    binary, float_twin = build_trials(FIRST)
    search.note(end(binary))
    search.note(finish(float_twin))
    assert study.reports == reports
    assert search.take() == SECOND


def test_a_point_without_an_objective_has_failed() -> None:
    study = RecordedStudy([FIRST])
    search = open_search(study)
    search.take()
    for trial in build_trials(FIRST):
        search.note(finish(trial, accuracy=None))
    assert study.reports == [("fail 0", None)]


def test_an_accuracy_is_that_of_all_trials_or_unknown() -> None:
    study = RecordedStudy([FIRST])
    search = open_search(study)
    search.take()
    binary, float_twin = build_trials(FIRST)
    search.note(finish(binary))
    search.note(finish(float_twin, accuracy=None))
    assert study.reports == [("fail 0", None)]


def test_earlier_points_are_reported_and_interrupted_ones_come_first() -> None:
    study = RecordedStudy([{"units": 64, "rate": 0.2}])
    trials = build_trials(FIRST)
    networks = {
        trial.id: TrainedNetwork.of_outcome(trial, finish(trial).outcome) for trial in trials
    }
    outclassed = PointResults({trials[0].id: networks[trials[0].id]}, is_outclassed=True)
    tried = (
        TriedPoint(FIRST, trials, results=PointResults(networks)),
        TriedPoint(SECOND, build_trials(SECOND), results=outclassed),
        TriedPoint(THIRD, build_trials(THIRD)),
    )
    loaded: list[set[str]] = []

    def load(trainings: set[str]) -> dict[str, bytes]:
        loaded.append(trainings)
        return {}

    search = SweepSearch(
        SEARCH, study, build_trials=build_trials, tried_points=tried, load_checkpoints=load
    )
    assert [report for report, _ in study.reports] == ["tell 0", "prune 1"]
    assert search.remaining == 2
    assert search.take() == THIRD
    assert search.take() == {"units": 64, "rate": 0.2}
    assert search.units.units_at(THIRD) == search.units.units_at(dict(THIRD))
    assert loaded == [{trial.training for trial in build_trials(THIRD)}]
    for trial in build_trials(THIRD):
        search.note(finish(trial))
    assert study.reports[-1][0] == "tell 2"


SWEEP = """\
name: found
dataset: digits
model: {name: mlp, layers: 1}
precision: [binary, float32]
train: {epochs: 2}
search:
  method: optuna
  trials: 4
  objectives: [accuracy, size]
  constraints: [{metric: size, at_most: 1 MB}]
  space: {model.units: {low: 8, high: 64, step: 8}}
"""


class Killed(Exception):
    """The driver dies."""


class Driver:
    """A driver that trains two points at a time, and dies after some steps."""

    def __init__(self, base: Point, rows: TrialRows) -> None:
        self.base = base
        self.rows = rows
        self.starts: Counter[str] = Counter()
        self.completed: set[str] = set()

    def run(self, steps: int | None = None) -> int:
        """Store and report every event, a step each; return how many there were."""
        search = resume_search("found", self.base, rows=self.rows)
        done = 0
        for event in self._train(search):
            for step in (self._store, search.note):
                if done == steps:
                    raise Killed
                step(event)
                done += 1
        assert search.is_exhausted
        return done

    def _train(self, search: SweepSearch) -> Iterator[SweepEvent]:
        while (first := search.take()) is not None:
            second = search.take()
            points = [values for values in (first, second) if values is not None]
            for values in points:
                yield PointStarted(values, self._build_trials(values))
            for values in reversed(points):
                yield from self._end_point(values)

    def _end_point(self, values: Config) -> Iterator[SweepEvent]:
        binary, float_twin = self._build_trials(values)
        yield finish(binary)
        is_outclassed = values["model.units"] % 24 == 0
        yield Stopped(float_twin, OUTCLASSED) if is_outclassed else finish(float_twin)

    def _build_trials(self, values: Config) -> tuple[Trial, ...]:
        return build_trials_at(self.base, values)

    def _store(self, event: SweepEvent) -> None:
        match event:
            case PointStarted(point=values, trials=trials):
                point = canonical_json(dict(values))
                assert point not in self.completed, "a point is tried again"
                self.starts[point] += 1
                self.rows.submit_point("found", values, sampled=trials)
            case Finished(outcome=outcome):
                self.rows.finish(outcome)
                self._note_completed()
            case Stopped(trial=trial, cause=cause):
                self.rows.stop(trial.id, cause)
                self._note_completed()

    def _note_completed(self) -> None:
        for values in self.rows.list_points("found"):
            states = self.rows.get_states(self._build_trials(values)).values()
            if all(state.done or state.outclassed for state in states):
                self.completed.add(canonical_json(values))


@pytest.fixture
def base(tmp_path: Path) -> Point:
    file = tmp_path / "found.yaml"
    file.write_text(SWEEP)
    point, *_ = read_sweep(file)
    return point


@pytest.fixture
def empty_database(tmp_path: Path) -> Path:
    file = tmp_path / "empty.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


def open_copy(database: Path, name: str) -> TrialRows:
    """Return the rows of a copy, which is much faster than a new database."""
    copy = database.with_name(f"{name}.db")
    copyfile(database, copy)
    return TrialRows(open_database(f"sqlite:///{copy}"))


def test_a_driver_that_is_killed_at_any_step_tries_no_point_twice(
    empty_database: Path, base: Point
) -> None:
    """Optuna's study raises KeyError for a point that is told twice."""
    steps = Driver(base, open_copy(empty_database, "whole")).run()
    assert steps == 2 * (4 + 8)
    for step in range(steps):
        driver = Driver(base, open_copy(empty_database, str(step)))
        with pytest.raises(Killed):
            driver.run(step)
        driver.run()
        assert len(driver.starts) == len(driver.completed) == 4, step
        assert max(driver.starts.values()) <= 2, "one that was under way at the kill"
