"""The reader of sweep files, `jobs/*.yaml`, which yields one point for each set of swept values."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from harness.config.document import Document, check, explain, read_document, validate
from harness.config.overrides import apply_override, override, split_key
from harness.config.search import draw_points, list_corners
from harness.config.search_metrics import check_metrics, spell_out_metrics
from harness.config.yaml_text import KeyPath
from harness.core.sweep import SweepPoint

T = TypeVar("T")

MAX_TRIALS = 200_000
_MAX_SWEPT_KEYS = 50
_CACHED_SECTIONS = 5_000
_FIXED_KEYS = ("name", "grid", "points", "search", "resources", "bench")
_LIST_KEYS = (("precision",), ("seeds",))
_SPACE = ("search", "space")


class Setting(NamedTuple):
    """A swept key with one of its values; `path` is where the file sweeps it."""

    path: KeyPath
    key: str
    value: Any


@dataclass(frozen=True)
class Point:
    """One point of a sweep: the file's values with `settings` in place of the swept keys."""

    file: Document
    settings: tuple[Setting, ...]
    values: SweepPoint

    @property
    def document(self) -> Document:
        """The point's own document, which knows where each key was set."""
        return _apply(self.file, self.settings)

    def validate(self, kind: type[T], value: object, prefix: KeyPath) -> T:
        """Return `value`, which the point has at `prefix`, as a `kind`. Raises ConfigError."""
        try:
            return check(kind, value)
        except ValidationError as error:
            raise explain(error, self.document, prefix=prefix) from error


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Point, ...]:
    """Return every point of the sweep, at least one.

    The points are the product of `grid`, for each of `points`, or those that a random search
    draws. A search that chooses its points during training returns the corners of its space
    instead. Raises ConfigError, also for a sweep of more than MAX_TRIALS trials.
    """
    document = read_document(path)
    for text in overrides:
        document = apply_override(document, text)
    document = spell_out_metrics(document)
    head = validate(document, SweepPoint, value=document.content)
    _check_size(document, head)
    check_metrics(document, head)
    build = _make_builder(document, head)
    corners = tuple(map(build, _search_settings(list_corners(head.search))))
    if head.search.method == "optuna":
        return corners
    if corners:
        return tuple(map(build, _search_settings(draw_points(head.search))))
    return tuple(map(build, _grid_settings(document, head)))


def build_point(document: Document, values: Mapping[str, Any]) -> Point:
    """Return the point of a search with these values of its space. Raises ConfigError."""
    (settings,) = _search_settings([values])
    point = _apply(document, settings)
    return Point(document, settings, values=validate(point, SweepPoint, value=point.content))


def _check_size(document: Document, head: SweepPoint) -> None:
    """Refuse a sweep with too many keys or trials, before any of them is built."""
    sections: dict[KeyPath, Mapping[str, Any]] = {
        _SPACE: head.search.space or {},
        ("grid",): head.grid or {},
    }
    for index, point in enumerate(head.points or ()):
        sections["points", index] = point
    for path, keys in sections.items():
        if len(keys) > _MAX_SWEPT_KEYS:
            raise document.error(
                path,
                f"sweeps {len(keys):,} keys, but {_MAX_SWEPT_KEYS} are the most; fix some.",
            )
    if head.search.method == "optuna":
        return  # chooses its points one by one
    swept = set().union(*sections.values())
    points = _count_points(head)
    trials = points * prod(len(getattr(head, key)) for (key,) in _LIST_KEYS if key not in swept)
    if trials > MAX_TRIALS:
        raise document.error(
            next((path for path, keys in sections.items() if keys), ("seeds",)),
            f"gives {points:,} points and {trials:,} trials, but a sweep may have {MAX_TRIALS:,}; "
            "remove values, or draw fewer points with search.method random.",
        )


def _count_points(head: SweepPoint) -> int:
    if head.search.space:
        return head.search.trials or 0
    axes = (head.grid or {}).values()
    return len(head.points or ({},)) * prod(map(len, axes))


def _search_settings(points: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Setting, ...]]:
    for point in points:
        yield tuple(Setting((*_SPACE, key), key, value=value) for key, value in point.items())


def _grid_settings(document: Document, head: SweepPoint) -> Iterator[tuple[Setting, ...]]:
    grid = head.grid or {}
    axes = [_make_axis(key, values) for key, values in grid.items()]
    for index, values in enumerate(head.points or ({},)):
        point = [Setting(("points", index, key), key, value=value) for key, value in values.items()]
        for setting in point:
            if setting.key in grid:
                raise document.error(setting.path, "is swept by grid as well; keep one of the two.")
        for combination in product(*axes):
            yield (*point, *combination)


def _make_axis(key: str, values: Iterable[Any]) -> list[Setting]:
    return [Setting(("grid", key), key, value=value) for value in values]


def _make_builder(document: Document, head: SweepPoint) -> Callable[[tuple[Setting, ...]], Point]:
    """Return a function that builds the point with some settings. It raises ConfigError.

    Points share the sections that they have in common: a sweep may have very many.
    """

    @lru_cache(_CACHED_SECTIONS)
    def read_section(name: str, text: str) -> Any:
        return _section_adapter(name).validate_json(text, strict=True)

    def build(settings: tuple[Setting, ...]) -> Point:
        point = _apply(document, settings)
        sections = {setting.key.partition(".")[0] for setting in settings}
        try:
            values = {
                name: read_section(name, json.dumps(point.content[name])) for name in sections
            }
            return Point(document, settings, values=replace(head, **values))
        except (KeyError, ValidationError, ValueError):
            # Checked as a whole, its error has the words and the line of any other file's.
            return Point(
                document, settings, values=validate(point, SweepPoint, value=point.content)
            )

    return build


@lru_cache
def _section_adapter(name: str) -> TypeAdapter[Any]:
    """Return what checks a section of a sweep file. Raises KeyError for an unknown one."""
    return TypeAdapter(get_type_hints(SweepPoint, include_extras=True)[name])


def _apply(document: Document, settings: Iterable[Setting]) -> Document:
    for setting in settings:
        _check_sweepable(document, setting)
        path = split_key(setting.key)
        value = _wrap_in_list(path, setting.value)
        document = override(document, path, value=value, origin=document.locate(setting.path))
    return document


def _check_sweepable(document: Document, setting: Setting) -> None:
    if setting.key.split(".", maxsplit=1)[0] in _FIXED_KEYS:
        raise document.error(
            setting.path,
            "can't be swept; sweep keys of model, train, dataset, precision, seeds or convert.",
        )


def _wrap_in_list(path: KeyPath, value: Any) -> Any:
    """Return a list for a single value of `precision` or `seeds`, which are lists in the file."""
    return [value] if path in _LIST_KEYS and not isinstance(value, list) else value
