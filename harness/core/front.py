"""The front of a search: the points that no other point beats in every objective."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from harness.core.search import Objective

Candidate = TypeVar("Candidate")


def find_front(
    points: Mapping[Candidate, Mapping[str, float]], objectives: Sequence[Objective]
) -> list[Candidate]:
    """Return the points that no other one beats, best first in the first objective.

    `points` have their values by the text of the objective. Of equal points, all are returned.
    """
    costs = {point: _list_costs(values, objectives) for point, values in points.items()}
    front = [point for point, cost in costs.items() if not _is_beaten(cost, costs.values())]
    return sorted(front, key=costs.__getitem__)


def _list_costs(values: Mapping[str, float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the values so that less is better."""
    return tuple(
        -values[str(objective)] if objective.metric == "accuracy" else values[str(objective)]
        for objective in objectives
    )


def _is_beaten(cost: Sequence[float], others: Iterable[Sequence[float]]) -> bool:
    return any(_beats(other, cost) for other in others)


def _beats(cost: Sequence[float], other: Sequence[float]) -> bool:
    return cost != other and all(a <= b for a, b in zip(cost, other, strict=True))
