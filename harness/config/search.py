"""`search:` of a sweep file → the points that it draws."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np

from harness.core.search import Range, Search

Space = Mapping[str, Sequence[Any] | Range]


def draw_points(search: Search) -> Iterator[dict[str, Any]]:
    """`search.trials` points of its space by chance, the same ones for the same seed."""
    chance = np.random.default_rng(search.seed)
    for _ in range(search.trials or 0):
        yield {key: _draw(chance, values) for key, values in _space(search).items()}


def list_corners(search: Search) -> Iterator[dict[str, Any]]:
    """Points that together hold every two choices, or ends of ranges, of two keys.

    What is wrong, by itself or beside another value, is wrong in one of them.
    """
    ends = {key: _ends(values) for key, values in _space(search).items()}
    first = {key: values[0] for key, values in ends.items()}
    for one, other in combinations_with_replacement(ends, 2):
        for pair in product(ends[one], ends[other]):
            yield {**first, **dict(zip((one, other), pair, strict=True))}


def _space(search: Search) -> Space:
    return search.space or {}


def _ends(values: Sequence[Any] | Range) -> Sequence[Any]:
    return (values.low, values.high) if isinstance(values, Range) else values


def _draw(chance: np.random.Generator, values: Sequence[Any] | Range) -> Any:
    if not isinstance(values, Range):
        return values[chance.integers(len(values))]
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    if values.step or (whole and not values.log):
        return values.point_at(int(chance.integers(values.count_points())))
    if not values.log:
        return float(chance.uniform(values.low, values.high))
    draw_points = math.exp(chance.uniform(math.log(values.low), math.log(values.high)))
    return round(draw_points) if whole else draw_points
