"""Importance in simulations whose truth is known: shares of the variance of a sum."""

import numpy as np
import pandas as pd
import pytest

from harness.report.importance import MIN_POINTS, compute_importance
from harness.report.searches import SearchResult, SoughtMetric

ACCURACY = SoughtMetric("accuracy", "accuracy")
LATENCY = SoughtMetric("latency on pi4", "latency")
SPACE = {
    "model.units": {"low": 64, "high": 512, "log": False, "step": 64},
    "train.learning_rate": {"low": 0.0001, "high": 0.1, "log": True, "step": None},
    "train.batch_size": [32, 64, 128],
}


def simulate(count: int, seed: int = 0) -> SearchResult:
    """Return a random search of which a third is infeasible and has no accuracy.

    Accuracy is decided by the learning rate for nine tenths, and by the units for the rest.
    Latency is decided by the units alone, and the batch size decides nothing.
    """
    random = np.random.default_rng(seed)
    units, rate = random.integers(1, 9, count), random.uniform(-4, -1, count)
    scores = 3 * (rate - rate.mean()) / rate.std() + (units - units.mean()) / units.std()
    is_infeasible = np.arange(count) % 3 == 0
    points = pd.DataFrame(
        {
            "number": np.arange(1, count + 1),
            "state": np.where(is_infeasible, "infeasible", "done"),
            "model.units": [int(value) for value in 64 * units],
            "train.learning_rate": 10.0**rate,
            "train.batch_size": random.choice([32, 64, 128], count),
            "accuracy": np.where(is_infeasible, np.nan, 0.5 + scores / 100),
            "latency on pi4": 100.0 * units,
        }
    )
    return SearchResult(
        "search",
        "random",
        objectives=(ACCURACY, LATENCY),
        constraints=(),
        space=SPACE,
        keys=tuple(SPACE),
        points=points.astype({"train.batch_size": object, "model.units": object}),
    )


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_those_of_the_variance(seed: int) -> None:
    result = simulate(300, seed)
    shares = compute_importance(result, ACCURACY)
    assert next(iter(shares)) == "train.learning_rate"
    assert shares["train.learning_rate"] == pytest.approx(0.9, abs=0.06)
    assert shares["model.units"] == pytest.approx(0.1, abs=0.06)
    assert shares["train.batch_size"] < 0.02
    assert sum(shares.values()) == pytest.approx(1.0)
    latency = compute_importance(result, LATENCY)
    assert latency["model.units"] > 0.98


def test_infeasible_points_count_where_they_have_a_value() -> None:
    result = simulate(MIN_POINTS + 2)
    assert compute_importance(result, LATENCY)
    assert compute_importance(result, ACCURACY) == {}, "only two thirds have an accuracy"


def test_the_same_rows_give_the_same_shares() -> None:
    assert compute_importance(simulate(40), LATENCY) == compute_importance(simulate(40), LATENCY)


def test_points_outside_of_the_present_space_are_left_out() -> None:
    result = simulate(40)
    points = result.points.copy()
    points.loc[:30, "model.units"] = 4096
    points.loc[31:32, "train.batch_size"] = 7
    result = SearchResult(**{**vars(result), "points": points})
    assert compute_importance(result, LATENCY) == {}


def test_without_differences_nothing_decides() -> None:
    result = simulate(40)
    points = result.points.assign(accuracy=0.5)
    assert compute_importance(SearchResult(**{**vars(result), "points": points}), ACCURACY) == {}


def test_a_grid_has_the_choices_that_were_tried() -> None:
    result = simulate(60)
    grid = SearchResult(
        **{**vars(result), "space": {}, "keys": ("model.units", "train.batch_size")}
    )
    shares = compute_importance(grid, LATENCY)
    assert shares["model.units"] > 0.98
