"""The front of a search: the points that no other point beats in every objective."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from harness.core.search import Objective

Candidate = TypeVar("Candidate")


def find_front(
    points: Mapping[Candidate, Mapping[str, float]], objectives: Sequence[Objective]
) -> list[Candidate]:
    """Return the points that no other one beats, best first in the first objective.

    `points` have their values by the text of the objective. Of equal points, all are returned.
    """
    candidates = list(points)
    costs = [_list_costs(values, objectives) for values in points.values()]
    return [candidates[position] for position in find_unbeaten(costs)]


def find_unbeaten(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the positions of the rows that no other row beats, in increasing order of the rows.

    Less is better. A row beats another if it is better in one respect, and no worse in the others.
    So equal rows do not beat each other. In the order of the rows, each comes after all that beat
    it, and right after its equals. Most are beaten by the latest that none has beaten.
    """
    unbeaten: list[int] = []
    for position in sorted(range(len(costs)), key=lambda position: [*costs[position]]):
        row, latest = costs[position], [costs[other] for other in unbeaten[-1:]]
        if row in latest or not any(_beats(costs[other], row) for other in reversed(unbeaten)):
            unbeaten.append(position)
    return unbeaten


def _list_costs(values: Mapping[str, float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the values so that less is better."""
    return tuple(
        -values[str(objective)] if objective.metric == "accuracy" else values[str(objective)]
        for objective in objectives
    )


def _beats(row: Sequence[float], other: Sequence[float]) -> bool:
    return row != other and all(a <= b for a, b in zip(row, other, strict=True))
