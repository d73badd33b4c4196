"""The points that `search:` of a sweep file draws."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from harness.core.search import Range, Search

MAX_PAIRED = 8
"""Choices of a key up to which all are paired with those of other keys: pairs grow quickly."""

Space = Mapping[str, Sequence[Any] | Range]


def draw_points(search: Search) -> Iterator[dict[str, Any]]:
    """Yield `search.trials` random points of its space, the same ones for the same seed."""
    rng = np.random.default_rng(search.seed)
    for _ in range(search.trials or 0):
        yield {key: _draw(rng, values) for key, values in _space_of(search).items()}


def count_points(search: Search) -> int | None:
    """Return the number of points of the search's space; None if there is no end of them."""
    count = 1
    for values in _space_of(search).values():
        if not isinstance(values, Range):
            count *= len(values)
        elif values.step or (isinstance(values.low, int) and isinstance(values.high, int)):
            count *= values.count_points()
        else:
            return None
    return count


def list_corners(search: Search) -> Iterator[dict[str, Any]]:
    """Yield points that together have every choice of each key, and pairs of choices of two keys.

    A value that is wrong alone is in at least one of them. So is every wrong pair, except between
    the choices in the middle of a list of more than MAX_PAIRED.
    """
    choices = {key: _ends_of(values) for key, values in _space_of(search).items()}
    origin = {key: values[0] for key, values in choices.items()}
    for key, values in choices.items():
        for value in values:
            yield {**origin, key: value}
    few = {
        key: values if len(values) <= MAX_PAIRED else (values[0], values[-1])
        for key, values in choices.items()
    }
    for keys in combinations(few, 2):
        for pair in product(*(few[key] for key in keys)):
            yield {**origin, **dict(zip(keys, pair, strict=True))}


def _space_of(search: Search) -> Space:
    return search.space or {}


def _ends_of(values: Sequence[Any] | Range) -> Sequence[Any]:
    return (values.low, values.high) if isinstance(values, Range) else values


def _draw(rng: np.random.Generator, values: Sequence[Any] | Range) -> Any:
    if not isinstance(values, Range):
        return values[rng.integers(len(values))]
    is_integer = isinstance(values.low, int) and isinstance(values.high, int)
    if values.step or (is_integer and not values.log):
        return values.point_at(int(rng.integers(values.count_points())))
    if not values.log:
        return float(rng.uniform(values.low, values.high))
    value = math.exp(rng.uniform(math.log(values.low), math.log(values.high)))
    return round(value) if is_integer else value
