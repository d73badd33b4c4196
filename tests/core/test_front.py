"""The front: what no other point beats, against a comparison of each point with each other."""

from operator import le

from hypothesis import given
from hypothesis import strategies as st

from harness.core.front import find_front, find_unbeaten
from harness.core.search import Objective

Rows = list[tuple[int, ...]]


@st.composite
def draw_rows(draw: st.DrawFn) -> Rows:
    columns = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[st.integers(0, 3)] * columns), max_size=20))


def is_beaten(row: tuple[int, ...], rows: Rows) -> bool:
    return any(other != row and all(map(le, other, row)) for other in rows)


@given(draw_rows())
def test_the_rows_that_no_other_beats_are_found(rows: Rows) -> None:
    positions = find_unbeaten(rows)
    expected = [position for position, row in enumerate(rows) if not is_beaten(row, rows)]
    assert sorted(positions) == expected
    unbeaten = [rows[position] for position in positions]
    assert unbeaten == sorted(unbeaten)


def test_the_front_has_the_points_that_no_other_beats() -> None:
    objectives = (Objective("accuracy"), Objective("size"))
    points = {
        "best": {"accuracy": 0.9, "size": 300.0},
        "small": {"accuracy": 0.7, "size": 100.0},
        "beaten": {"accuracy": 0.7, "size": 200.0},
        "equal": {"accuracy": 0.7, "size": 100.0},
    }
    assert find_front(points, objectives) == ["best", "small", "equal"]
    assert find_front({}, objectives) == []
