"""Searches on a real Ray: Optuna, successive halving, a time budget."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness import data
from harness.core.errors import HarnessError, Reason
from harness.core.recipe import Recipe
from harness.core.search import Asha, Objective, Range, Search
from harness.core.sweep import Precision, Resources, Trial
from harness.training.events import EpochEnded, Event, Finished, PointStarted, Stopped
from harness.training.ray_cluster import train
from harness.training.search import ENDED_EARLY, AdaptiveSearch, FixedUnits, TriedPoint
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


SEARCH = Search(
    "optuna",
    trials=6,
    space={"rate": Range(1e-3, 0.1, log=True), "units": (8, 64)},
    objectives=(Objective("accuracy"), Objective("size")),
)


@pytest.mark.full
def test_a_search_of_two_objectives_skips_tried_points_and_starts_with_interrupted_ones(
    cluster: str,
) -> None:
    good, bad, interrupted = (
        {"rate": 0.05, "units": 64},
        {"rate": 0.001, "units": 8},
        {"rate": 0.02, "units": 64},
    )
    tried = (
        TriedPoint(good, (0.95, 20_000.0)),
        TriedPoint(bad, (0.1, 5_000.0)),
        TriedPoint(interrupted),
        TriedPoint(bad, ENDED_EARLY),
    )
    unit_source = AdaptiveSearch(trials_at, tried)
    assert unit_source.count_remaining(SEARCH) == 3, (
        "a point that was ended early is not tried again"
    )

    events = list(
        train(unit_source, DATASETS, resources=Resources(cpu=2), search=SEARCH, address=cluster)
    )

    points = [event.point for event in of_kind(events, PointStarted)]
    assert len(points) == 3
    assert points[0] == interrupted
    assert all(point not in (good, bad) for point in points)
    assert all(1e-3 <= point["rate"] <= 0.1 and point["units"] in (8, 64) for point in points)
    assert [event.trial.id for event in of_kind(events, Finished)] == [
        trials_at(point)[0].id for point in points
    ]
    assert not of_kind(events, Stopped)


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
def test_a_search_that_cannot_build_a_point_reports_the_reason() -> None:
    def impossible(point: Mapping[str, Any]) -> tuple[Trial, ...]:
        raise ValueError(f"no trial has a rate of {point['rate']}")

    with pytest.raises(
        HarnessError, match=r"ended unexpectedly: ValueError: no trial has a rate of 0\.\d+"
    ):
        list(train(AdaptiveSearch(impossible), DATASETS, resources=Resources(cpu=2), search=SEARCH))
