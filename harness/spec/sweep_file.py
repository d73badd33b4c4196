"""`jobs/*.yaml` → the points of a sweep, each with its swept values put in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from harness.core.sweep import SweepPoint
from harness.spec.document import Document, KeyPath, check, read_document
from harness.spec.overrides import key_path, override, set_by_hand

_NOT_SWEPT = ("name", "grid", "points", "resources", "bench")


@dataclass(frozen=True)
class Point:
    """One point of a sweep, and the document that it was read from, which knows where each key stands."""

    document: Document
    values: SweepPoint


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Point, ...]:
    """Every point of the sweep: the product of `grid`, for each of `points`.

    Raises SpecError; a sweep has at least one.
    """
    document = read_document(path)
    for text in overrides:
        document = set_by_hand(document, text)
    head = check(document, SweepPoint, document.content)
    return tuple(_point(document, settings) for settings in _settings(document, head))


def _settings(document: Document, head: SweepPoint) -> Iterator[Mapping[KeyPath, tuple[str, Any]]]:
    """Each point as {where the value stands: (key, value)}."""
    axes = [[(("grid", key), key, value) for value in values] for key, values in (head.grid or {}).items()]
    rows = [
        [(("points", n, key), key, value) for key, value in point.items()]
        for n, point in enumerate(head.points or ({},))
    ]
    for row in rows:
        for where, key, _ in row:
            if key in (head.grid or {}):
                raise document.error(where, "is swept by grid too; keep one of them.")
        for combination in product(*axes):
            yield {where: (_sweepable(document, where, key), value) for where, key, value in (*row, *combination)}


def _sweepable(document: Document, where: KeyPath, key: str) -> str:
    if key.split(".", maxsplit=1)[0] in _NOT_SWEPT:
        raise document.error(where, "can't be swept; sweep keys of model, train, dataset, precision, seeds or convert.")
    return key


def _point(document: Document, settings: Mapping[KeyPath, tuple[str, Any]]) -> Point:
    for where, (key, value) in settings.items():
        path = key_path(key)
        document = override(document, path, _listed(path, value), document.where(where))
    return Point(document, check(document, SweepPoint, document.content))


def _listed(path: KeyPath, value: Any) -> Any:
    """`precision` and `seeds` are lists in the file, but a swept value is one of them."""
    return [value] if path in (("precision",), ("seeds",)) and not isinstance(value, list) else value
