"""Searches on a real Ray: points of a source, successive halving, a time budget."""

import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness import data
from harness.core.errors import HarnessError, Reason
from harness.core.recipe import Recipe
from harness.core.search import Asha, Objective, Range, Search
from harness.core.sweep import Precision, Resources, Trial
from harness.training.events import (
    ClusterReady,
    EpochEnded,
    Event,
    Failed,
    Finished,
    PointStarted,
    Quiet,
    Started,
    Stopped,
)
from harness.training.ray_cluster import train
from harness.training.search import FixedUnits, SearchedUnits
from harness.training.unit import group_trials

DATASETS = {"digits": data.load("digits")}


def trial(rate: float, units: int = 16, epochs: int = 2) -> Trial:
    recipe = Recipe(epochs=epochs, learning_rate=rate)
    return Trial(
        "mlp",
        {"layers": 1, "units": units},
        chosen={"units": units},
        precision=Precision.FLOAT32,
        dataset="digits",
        recipe=recipe,
        seed=0,
    )


def trials_at(point: Mapping[str, Any], epochs: int = 2) -> tuple[Trial, ...]:
    return (trial(point["rate"], point["units"], epochs=epochs),)


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


class Source:
    """A source that gives out its points only while the test lets it."""

    def __init__(self, *points: Mapping[str, Any]) -> None:
        self.waiting = deque(points)
        self.is_released = True
        self.refusals = 0

    @property
    def is_exhausted(self) -> bool:
        return not self.waiting

    def take(self) -> Mapping[str, Any] | None:
        if not self.is_released:
            self.refusals += 1
            return None
        return self.waiting.popleft() if self.waiting else None


SEARCH = Search(
    "optuna",
    trials=4,
    space={"rate": Range(1e-3, 0.1, log=True), "units": (8, 64)},
    objectives=(Objective("accuracy"), Objective("size")),
)
POINTS = [{"rate": rate, "units": 8} for rate in (0.01, 0.02, 0.03)]


def train_points(points: Source, cluster: str, search: Search = SEARCH) -> Iterator[Event]:
    return train(
        SearchedUnits(trials_at),
        DATASETS,
        resources=Resources(cpu=2),
        search=search,
        address=cluster,
        points=points,
    )


@pytest.mark.full
def test_workers_train_the_points_of_a_source_that_has_none_for_a_while(cluster: str) -> None:
    source = Source(*POINTS)
    events: list[Event] = []
    refusals = 0
    for event in train_points(source, cluster):
        events.append(event)
        if isinstance(event, PointStarted) and event.point == POINTS[0]:
            source.is_released = False
        if isinstance(event, Finished) and not source.is_released:
            refusals = refusals or source.refusals
        if isinstance(event, Quiet) and refusals and source.refusals > refusals + 3:
            source.is_released = True
    assert source.is_exhausted
    assert refusals > 0, "Tune asked while it trained"
    assert [event.point for event in of_kind(events, PointStarted)] == POINTS
    assert [event.trial for event in of_kind(events, Finished)] == [
        trials_at(point)[0] for point in POINTS
    ]
    assert len({event.pid for event in of_kind(events, Started)}) == 1, "the worker is kept"
    assert "ray.air.integrations.mlflow" not in sys.modules, (
        "Tune counts callbacks in another way than `ray_private` knows"
    )
    assert not of_kind(events, Failed) + of_kind(events, Stopped)


@pytest.mark.full
def test_a_search_ends_without_a_point(cluster: str) -> None:
    assert [type(event) for event in train_points(Source(), cluster) if not is_quiet(event)] == [
        ClusterReady
    ]
    endless = Source(*POINTS)
    endless.is_released = False
    search = replace(SEARCH, budget_s=1.0)
    events = train_points(endless, cluster, search=search)
    assert [type(event) for event in events if not is_quiet(event)] == [ClusterReady]
    assert endless.refusals > 0


def is_quiet(event: Event) -> bool:
    return isinstance(event, Quiet)


@pytest.mark.full
def test_halving_ends_outclassed_trials_and_a_budget_ends_slow_ones(cluster: str) -> None:
    good, hopeless = trial(0.05, epochs=9), [trial(1e-7, units, epochs=9) for units in (8, 9)]
    unit_source = FixedUnits(group_trials([good, *hopeless], {}))
    events = list(
        train(
            unit_source,
            DATASETS,
            resources=Resources(cpu=2),
            search=Search(asha=Asha(grace_epochs=2)),
            address=cluster,
        )
    )
    assert [event.trial for event in of_kind(events, Finished)] == [good]
    assert [(event.trial, event.cause.reason) for event in of_kind(events, Stopped)] == [
        (stopped, Reason.OUTCLASSED) for stopped in hopeless
    ]
    epochs = [
        event.epoch.number for event in of_kind(events, EpochEnded) if event.trial in hopeless
    ]
    assert max(epochs) == 2

    endless = [trial(0.01, units, epochs=10**6) for units in (8, 9)]
    events = list(
        train(
            FixedUnits(group_trials(endless, {})),
            DATASETS,
            resources=Resources(cpu=2),
            search=Search(budget_s=1.0),
            address=cluster,
        )
    )
    assert {event.trial.id: event.cause.reason for event in of_kind(events, Stopped)} == {
        stopped.id: Reason.BUDGET for stopped in endless
    }


@pytest.mark.full
def test_a_source_that_breaks_down_is_reported() -> None:
    class Broken(Source):
        def take(self) -> Mapping[str, Any] | None:
            raise ValueError("no trial has a rate of 0.01")

    environment = dict(os.environ)
    with pytest.raises(
        HarnessError, match=r"ended unexpectedly: ValueError: no trial has a rate of 0\.01"
    ):
        list(
            train(
                SearchedUnits(trials_at),
                DATASETS,
                resources=Resources(cpu=2),
                search=SEARCH,
                points=Broken(),
            )
        )
    assert dict(os.environ) == environment, "what Ray sets would keep it from joining a cluster"
