"""The reader of sweep files, `jobs/*.yaml`, which yields one point for each set of swept values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from harness.config.document import Document, KeyPath, read_document, validate
from harness.config.overrides import apply_override, override, split_key
from harness.config.search import draw_points, list_corners
from harness.core.sweep import SweepPoint

_FIXED_KEYS = ("name", "grid", "points", "search", "resources", "bench")
_LIST_KEYS = (("precision",), ("seeds",))
_SPACE = ("search", "space")


@dataclass(frozen=True)
class Point:
    """One point of a sweep, and its document, which knows where each key was set."""

    document: Document
    values: SweepPoint


class _Setting(NamedTuple):
    """A swept key with one of its values; `path` is where the file sweeps it."""

    path: KeyPath
    key: str
    value: Any


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Point, ...]:
    """Return every point of the sweep, at least one.

    The points are the product of `grid`, for each of `points`, or those that a random search
    draws. A search that chooses its points during training returns the corners of its space
    instead. Raises ConfigError.
    """
    document = read_document(path)
    for text in overrides:
        document = apply_override(document, text)
    head = validate(document, SweepPoint, value=document.content)
    corners = _build_points(document, _search_settings(list_corners(head.search)))
    if head.search.method == "optuna":
        return corners
    if corners:
        return _build_points(document, _search_settings(draw_points(head.search)))
    return _build_points(document, _grid_settings(document, head))


def build_point(document: Document, values: Mapping[str, Any]) -> Point:
    """Return the point of a search with these values of its space. Raises ConfigError."""
    (point,) = _build_points(document, _search_settings([values]))
    return point


def _search_settings(points: Iterable[Mapping[str, Any]]) -> Iterator[list[_Setting]]:
    for point in points:
        yield [_Setting((*_SPACE, key), key, value) for key, value in point.items()]


def _grid_settings(document: Document, head: SweepPoint) -> Iterator[list[_Setting]]:
    grid = head.grid or {}
    axes = [_make_axis(key, values) for key, values in grid.items()]
    for index, values in enumerate(head.points or ({},)):
        point = [_Setting(("points", index, key), key, value) for key, value in values.items()]
        for setting in point:
            if setting.key in grid:
                raise document.error(setting.path, "is swept by grid as well; keep one of the two.")
        for combination in product(*axes):
            yield [*point, *combination]


def _make_axis(key: str, values: Iterable[Any]) -> list[_Setting]:
    return [_Setting(("grid", key), key, value) for value in values]


def _build_points(document: Document, points: Iterable[Iterable[_Setting]]) -> tuple[Point, ...]:
    return tuple(_build_point(document, settings) for settings in points)


def _build_point(document: Document, settings: Iterable[_Setting]) -> Point:
    for setting in settings:
        _check_sweepable(document, setting)
        path = split_key(setting.key)
        origin = document.locate(setting.path)
        value = _wrap_in_list(path, setting.value)
        document = override(document, path, value=value, origin=origin)
    return Point(document, validate(document, SweepPoint, value=document.content))


def _check_sweepable(document: Document, setting: _Setting) -> None:
    if setting.key.split(".", maxsplit=1)[0] in _FIXED_KEYS:
        raise document.error(
            setting.path,
            "can't be swept; sweep keys of model, train, dataset, precision, seeds or convert.",
        )


def _wrap_in_list(path: KeyPath, value: Any) -> Any:
    """Return a list for a single value of `precision` or `seeds`, which are lists in the file."""
    return [value] if path in _LIST_KEYS and not isinstance(value, list) else value
