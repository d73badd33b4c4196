"""`jobs/*.yaml` → the points of a sweep, each with its swept values put in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from harness.config.document import Document, KeyPath, read_document, validate
from harness.config.overrides import apply_override, override, split_key
from harness.config.search import draw_points, list_corners
from harness.core.sweep import SweepPoint

_NOT_SWEPT = ("name", "grid", "points", "search", "resources", "bench")
_SPACE = ("search", "space")
Settings = Mapping[KeyPath, tuple[str, Any]]  # where the value stands: (key, value)


@dataclass(frozen=True)
class Point:
    """One point of a sweep, and the document that it was read from, which knows where each key stands."""

    document: Document
    values: SweepPoint


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Point, ...]:
    """Every point of the sweep: the product of `grid`, for each of `points`; or those that a random search draws.

    Where points are found while others train, the corners of their space stand for all. Raises ConfigError; there is at
    least one.
    """
    document = read_document(path)
    for text in overrides:
        document = apply_override(document, text)
    head = validate(document, SweepPoint, value=document.content)
    corner = [
        _point(document, settings) for settings in _searched(document, list_corners(head.search))
    ]
    if head.search.method == "optuna":
        return tuple(corner)
    settings = (
        _searched(document, draw_points(head.search)) if corner else _settings(document, head)
    )
    return tuple(_point(document, one) for one in settings)


def build_point(document: Document, values: Mapping[str, Any]) -> Point:
    """The point of a search at these values of its space. Raises ConfigError."""
    (settings,) = _searched(document, [values])
    return _point(document, settings)


def _searched(document: Document, points: Iterable[Mapping[str, Any]]) -> Iterator[Settings]:
    for point in points:
        places = {(*_SPACE, key): (key, value) for key, value in point.items()}
        yield {
            where: (_sweepable(document, where, key=key), value)
            for where, (key, value) in places.items()
        }


def _settings(document: Document, head: SweepPoint) -> Iterator[Settings]:
    axes = [
        [(("grid", key), key, value) for value in values]
        for key, values in (head.grid or {}).items()
    ]
    rows = [
        [(("points", n, key), key, value) for key, value in point.items()]
        for n, point in enumerate(head.points or ({},))
    ]
    for row in rows:
        for where, key, _ in row:
            if key in (head.grid or {}):
                raise document.error(where, "is swept by grid too; keep one of them.")
        for combination in product(*axes):
            yield {
                where: (_sweepable(document, where, key=key), value)
                for where, key, value in (*row, *combination)
            }


def _sweepable(document: Document, where: KeyPath, key: str) -> str:
    if key.split(".", maxsplit=1)[0] in _NOT_SWEPT:
        raise document.error(
            where,
            "can't be swept; sweep keys of model, train, dataset, precision, seeds or convert.",
        )
    return key


def _point(document: Document, settings: Settings) -> Point:
    for where, (key, value) in settings.items():
        path = split_key(key)
        document = override(
            document, path, value=_listed(path, value), origin=document.locate(where)
        )
    return Point(document, validate(document, SweepPoint, value=document.content))


def _listed(path: KeyPath, value: Any) -> Any:
    """`precision` and `seeds` are lists in the file, but a swept value is one of them."""
    return (
        [value] if path in (("precision",), ("seeds",)) and not isinstance(value, list) else value
    )
