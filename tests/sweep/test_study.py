"""Studies give out each point once, whatever threads ask, and count those of earlier processes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, product
from typing import Any

import pytest

from harness.config.search import count_points
from harness.core.recipe import Recipe
from harness.core.search import Range, Search
from harness.core.sweep import Precision, Trial
from harness.sweep.study import ListedStudy, OptunaStudy, SearchPoint, Study

SPACE: dict[str, Any] = {"units": Range(8, 64, step=8), "rate": (0.1, 0.2)}
GRID = [
    dict(zip(("units", "rate"), values, strict=True)) for values in product((8, 16, 24), (0.1, 0.2))
]


def build_trials(point: Mapping[str, Any]) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            "mlp",
            {"units": point["units"]},
            chosen={"units": point["units"]},
            precision=precision,
            dataset="digits",
            recipe=Recipe(epochs=1, learning_rate=point["rate"]),
            seed=0,
        )
        for precision in (Precision.BINARY, Precision.FLOAT32)
    )


def search(trials: int, seed: int = 0) -> Search:
    return Search("optuna", trials=trials, space=SPACE, seed=seed)


def ask_all(study: Study) -> list[SearchPoint]:
    points = []
    while (point := study.ask()) is not None:
        points.append(point)
    return points


def values_of(points: Sequence[SearchPoint]) -> list[tuple[Any, ...]]:
    return [(point.values["units"], point.values["rate"]) for point in points]


def make_studies(trials: int = 6) -> list[Study]:
    return [OptunaStudy(search(trials), build_trials), ListedStudy(GRID[:trials], build_trials)]


@pytest.mark.parametrize("study", make_studies(), ids=["optuna", "listed"])
def test_each_point_is_given_out_once_with_its_trials(study: Study) -> None:
    assert study.remaining == 6
    points = ask_all(study)
    assert study.remaining == 0
    assert study.ask() is None
    assert len(set(values_of(points))) == 6
    assert len({point.number for point in points}) == 6
    assert all(point.trials == build_trials(point.values) for point in points)


@pytest.mark.parametrize("study", make_studies(), ids=["optuna", "listed"])
def test_adopted_points_count_and_are_not_given_out(study: Study) -> None:
    adopted = [study.adopt(values) for values in GRID[:4]]
    assert [point.values for point in adopted] == GRID[:4]
    assert all(point.trials == build_trials(point.values) for point in adopted)
    study.tell(adopted[0].number, [0.9], {})
    study.prune(adopted[1].number, {"size, at most 1 MB": 0.1})
    study.fail(adopted[2].number)
    assert study.remaining == 2
    points = ask_all(study)
    assert len(points) == 2
    assert not set(values_of(points)) & set(values_of(adopted))
    assert not {point.number for point in points} & {point.number for point in adopted}


def test_a_space_ends_before_a_larger_number_of_trials() -> None:
    study = OptunaStudy(search(100), build_trials)
    assert study.remaining == count_points(search(100)) == 16
    points = []
    while (point := study.ask()) is not None:
        points.append(point)
        study.tell(point.number, [1.0 if point.values["units"] == 8 else 0.0], {})
    assert len(set(values_of(points))) == len(points) == 16


def test_a_step_that_no_float_meets_gives_each_point_once() -> None:
    tenths = Search("optuna", trials=50, space={"rate": Range(0.1, 0.9, step=0.1), "units": (8,)})
    rates = [point.values["rate"] for point in ask_all(OptunaStudy(tenths, build_trials))]
    assert sorted(round(rate, 9) for rate in rates) == [rate / 10 for rate in range(1, 10)]


@pytest.mark.parametrize(
    ("space", "points"),
    [
        ({"a": (1, 2), "b": Range(1, 3)}, 6),
        ({"a": Range(0.0, 1.0, step=0.5)}, 3),
        ({"a": (1, 2), "b": Range(0.0, 1.0)}, None),
    ],
)
def test_points_of_a_space_are_counted(space: Mapping[str, Any], points: int | None) -> None:
    assert count_points(Search("optuna", trials=1, space=space)) == points


@pytest.mark.parametrize("study", make_studies(), ids=["optuna", "listed"])
def test_several_threads_share_a_study(study: Study) -> None:
    def work(_: int) -> list[SearchPoint]:
        points = []
        while (point := study.ask()) is not None:
            points.append(point)
            study.tell(point.number, [0.5], {})
        return points

    with ThreadPoolExecutor(8) as pool:
        points = list(chain.from_iterable(pool.map(work, range(8))))
    assert len(set(values_of(points))) == len(points) == 6


def test_a_listed_study_adopts_a_point_that_is_no_longer_listed() -> None:
    study = ListedStudy(GRID[:2], build_trials)
    unlisted = study.adopt(GRID[5])
    assert study.remaining == 2
    assert unlisted.number not in {point.number for point in ask_all(study)}
