"""Optuna proposes points from what it was told, and from what is still under way."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness.core.search import Objective, Range, Search
from harness.training.proposals import Proposals

SEARCH = Search("optuna", trials=60, space={"width": Range(0.0, 1.0)})
TOO_WIDE = "size, at most 1 MB"


def count_narrow(seed: int, limit: float | None) -> int:
    """Return how many of the later 40 points are up to 0.5 wide.

    The widest networks are the most accurate; the limit is a width, if there is one.
    """
    proposals = Proposals(Search("optuna", trials=60, space=SEARCH.space, seed=seed))
    widths = []
    for _ in range(60):
        number, values = proposals.propose()
        width = values["width"]
        widths.append(width)
        violations = {} if limit is None else {TOO_WIDE: width - limit}
        proposals.complete(number, [width], violations)
    return sum(width <= 0.5 for width in widths[20:])


def test_later_points_keep_a_constraint_although_breaking_it_would_pay() -> None:
    free = [count_narrow(seed, None) for seed in range(3)]
    limited = [count_narrow(seed, 0.5) for seed in range(3)]
    assert max(free) <= 10
    assert min(limited) >= 20


def test_points_that_were_too_large_to_be_trained_teach_the_sampler_as_well() -> None:
    proposals = Proposals(SEARCH)
    narrow = 0
    for tried in range(60):
        number, values = proposals.propose()
        if values["width"] > 0.5:
            proposals.prune(number, {TOO_WIDE: values["width"] - 0.5})
        else:
            proposals.complete(number, [values["width"]], {TOO_WIDE: values["width"] - 0.5})
            narrow += tried >= 20
    assert narrow >= 20


@pytest.mark.parametrize("infeasible", [12, 30], ids=["some", "all"])
def test_two_objectives_and_points_without_any(infeasible: int) -> None:
    objectives = (Objective("accuracy"), Objective("size"))
    proposals = Proposals(Search("optuna", trials=30, space=SEARCH.space, objectives=objectives))
    for tried in range(30):
        number, values = proposals.propose()
        if tried < infeasible:
            proposals.prune(number, {TOO_WIDE: values["width"]})
        else:
            proposals.complete(number, [values["width"], values["width"]], {TOO_WIDE: -1.0})


def test_a_point_under_way_keeps_others_away_from_it() -> None:
    """The sampler would else stay at the best point while it waits for results."""

    def spread(*, is_open: bool) -> float:
        proposals = Proposals(SEARCH)
        for step in range(30):
            width = step / 29
            number, _ = proposals.adopt({"width": width})
            proposals.complete(number, [1 - abs(width - 0.5)], {})
        for _ in range(30):
            number, _ = proposals.adopt({"width": 0.5})
            if not is_open:
                proposals.fail(number)
        distances: list[float] = []
        for _ in range(20):
            number, values = proposals.propose()
            distances.append(abs(values["width"] - 0.5))
            proposals.fail(number)
        return sum(distances) / len(distances)

    assert spread(is_open=True) > 1.5 * spread(is_open=False)


@pytest.mark.parametrize(
    ("space", "values"),
    [
        ({"layers": ([1, 2], [3])}, {"layers": [3]}),
        ({"model": ({"name": "mlp"}, None)}, {"model": {"name": "mlp"}}),
        ({"rate": Range(0.1, 1.0, step=0.4)}, {"rate": 0.5}),
        ({"units": Range(8, 30, step=8)}, {"units": 24}),
        ({"units": Range(1, 64, log=True)}, {"units": 64}),
    ],
)
def test_all_kinds_of_a_space_are_adopted_and_proposed(
    space: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    proposals = Proposals(Search("optuna", trials=1, space=space))
    assert proposals.adopt(values).values == values
    ((key, choices),) = space.items()
    for _ in range(20):
        value = proposals.propose().values[key]
        assert (
            choices.low <= value <= choices.high
            if isinstance(choices, Range)
            else (value in choices)
        )


def test_a_point_ends_once() -> None:
    proposals = Proposals(SEARCH)
    number, _ = proposals.propose()
    proposals.complete(number, [0.5], {})
    with pytest.raises(KeyError):
        proposals.complete(number, [0.5], {})
    with pytest.raises(KeyError):
        proposals.prune(number, {})
    with pytest.raises(KeyError):
        proposals.fail(number)


def test_adopted_points_change_the_seed() -> None:
    fresh, resumed, other = Proposals(SEARCH), Proposals(SEARCH), Proposals(SEARCH)
    first = fresh.propose().values
    assert other.propose().values == first, "the same seed, the same points"
    resumed.adopt(first)
    assert resumed.propose().values != first
