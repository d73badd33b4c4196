"""The hypervolume against another way to compute it: inclusion and exclusion of all boxes."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.front import find_unbeaten
from harness.report.hypervolume import accumulate_hypervolume, compute_hypervolume

Points = list[tuple[float, ...]]
_GAIN = st.integers(0, 8).map(lambda eighths: eighths / 8)  # few values, so that many are equal


@st.composite
def point_sets(draw: st.DrawFn) -> Points:
    dimensions = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[_GAIN] * dimensions), min_size=1, max_size=6))


def include_and_exclude(points: Points) -> float:
    """Return the volume of the union of the boxes between the origin and each point."""
    volume = 0.0
    for size in range(1, len(points) + 1):
        for chosen in combinations(points, size):
            overlap = float(np.prod(np.min(chosen, axis=0)))
            volume += overlap if size % 2 else -overlap
    return volume


@given(point_sets())
def test_it_is_the_volume_of_the_union_of_the_boxes(points: Points) -> None:
    assert compute_hypervolume(np.array(points)) == pytest.approx(include_and_exclude(points))


@given(point_sets())
def test_it_is_that_of_the_front_alone_and_never_falls(points: Points) -> None:
    gains = np.array(points)
    volumes = list(accumulate_hypervolume(gains))
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(compute_hypervolume(gains))
    front = gains[find_unbeaten((-gains).tolist())]
    assert compute_hypervolume(front) == pytest.approx(volumes[-1])


def test_some_that_are_known() -> None:
    assert compute_hypervolume(np.empty((0, 2))) == 0.0
    assert compute_hypervolume(np.array([[1.0, 1.0, 1.0]])) == 1.0
    assert compute_hypervolume(np.array([[1.0, 0.5], [0.5, 1.0]])) == pytest.approx(0.75)
    assert compute_hypervolume(np.array([[1.0, -2.0]])) == 0.0


def test_a_missing_gain_adds_nothing() -> None:
    gains = np.array([[np.nan, 1.0], [0.5, 0.5], [np.nan, np.nan], [1.0, 1.0]])
    assert list(accumulate_hypervolume(gains)) == pytest.approx([0.0, 0.25, 0.25, 1.0])
