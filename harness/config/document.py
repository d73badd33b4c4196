"""A YAML file that remembers where each key stands, and values checked against a core type."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.core.device import DEVICE_KINDS
from harness.core.errors import ConfigError

T = TypeVar("T")
KeyPath = tuple[str | int, ...]

_PLAINER = {
    "missing": "is missing",
    "unexpected_keyword_argument": "is not a key that is known here",
    "extra_forbidden": "is not a key that is known here",
    "too_short": "is empty; give at least one value",
    "string_too_short": "is empty",
    "tuple_type": "has to be a list",
    "dataclass_type": "has to be a mapping of keys to values",
    "dict_type": "has to be a mapping of keys to values",
    "union_tag_not_found": f"lacks a kind: {', '.join(DEVICE_KINDS)}",
    "union_tag_invalid": f"is of a kind that is not known; known: {', '.join(DEVICE_KINDS)}",
}
_WANTED = {"dataclass_type": "a mapping", "dict_type": "a mapping"}
_UNION_MEMBERS = re.compile(
    r"float|int|constrained-(float|int)|Schedule|Initializer|Range|Gates|(literal|dict|tuple)\[.*\]|"
    + "|".join(DEVICE_KINDS)
)


@dataclass(frozen=True)
class Document:
    """A YAML file's top mapping; `origins` says of keys that were set elsewhere where that was."""

    name: str
    content: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    origins: Mapping[KeyPath, str]

    def locate(self, path: KeyPath) -> str:
        """The file and line of a key, or of the nearest key above it that stands in the file."""
        for length in range(len(path), -1, -1):
            if (origin := self.origins.get(path[:length])) is not None:
                return origin
            if (line := self.lines.get(path[:length])) is not None:
                return f"{self.name}:{line}"
        return self.name

    def with_origin(self, path: KeyPath, origin: str) -> "Document":
        """The document once `origin` has set a key: what stood in the file at and below it is gone."""
        created = next(
            length
            for length in range(1, len(path) + 1)
            if length == len(path) or not self._has(path[:length])
        )
        origins = {
            **_outside(self.origins, path),
            **{path[:length]: origin for length in range(created, len(path) + 1)},
        }
        return replace(self, lines=_outside(self.lines, path), origins=origins)

    def _has(self, path: KeyPath) -> bool:
        return path in self.lines or path in self.origins

    def error(self, path: KeyPath, problem: str) -> ConfigError:
        return ConfigError(f"{self.locate(path)}: {join_key(path)} {problem}")


def _outside(places: Mapping[KeyPath, T], path: KeyPath) -> dict[KeyPath, T]:
    return {key: place for key, place in places.items() if key[: len(path)] != path}


def join_key(path: KeyPath) -> str:
    return ".".join(str(part) for part in path) or "the file"


def read_document(path: Path) -> Document:
    """Raises ConfigError where the file can't be read, is no YAML, or is no mapping."""
    try:
        content = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        plain = _to_plain(content)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no text file; give a YAML file.") from error
    except YAMLError as error:
        raise ConfigError(f"{path}{_mark(error)}: is no YAML: {_problem(error)}.") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number too long, or lists too deep, for Python
        raise ConfigError(f"{path}: holds what can't be read: {_problem(error)}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}:1: has to be a mapping of keys to values.")
    return Document(str(path), plain, lines=dict(_lines(content, ())), origins={})


def validate(document: Document, kind: type[T], value: object, prefix: KeyPath = ()) -> T:
    """`value` as a `kind`, strictly: no number from a string. Raises ConfigError naming the first wrong key."""
    try:
        checked: T = _adapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise _spec_error(document, prefix, error=error) from error
    return checked


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(
    TypeAdapter
)  # a sweep checks hundreds of points


def _spec_error(document: Document, prefix: KeyPath, error: ValidationError) -> ConfigError:
    problems = [(prefix + _real_keys(p["loc"]), p) for p in error.errors(include_url=False)]
    # The deepest says most: a union complains once for each of its forms, a list once for an item and once for itself.
    path = max((where for where, _ in problems), key=len)
    here = _meant([problem for where, problem in problems if where == path])
    others = {other for other, _ in problems if other != path[: len(other)]}
    more = f" (wrong too: {', '.join(sorted(map(join_key, others)))})" if others else ""
    return document.error(path, f"{_words(here)}{more}.")


def _meant(problems: Sequence[Any]) -> Sequence[Any]:
    """Those of the form of a union that the value has, where it has one: a mapping is meant as no list."""
    fitting = [
        one
        for one in problems
        if not one["type"].endswith("_type") and one["type"] != "literal_error"
    ]
    return fitting or problems


def _words(problems: Sequence[Any]) -> str:
    """One key's problems in a sentence; of a union, each form that it might have had."""
    if len(problems) == 1 and (plainer := _PLAINER.get(problems[0]["type"])):
        return plainer
    if problems[0]["type"] == "value_error":  # of several keys together
        return f"is at odds with itself: {problems[0]['ctx']['error']}"
    shown = json.dumps(problems[0]["input"], default=str)
    wanted = [
        _WANTED.get(problem["type"]) or problem["msg"].removeprefix("Input should be ")
        for problem in problems
    ]
    return f"is {shown if len(shown) <= 60 else shown[:57] + '...'}, but has to be {' or '.join(dict.fromkeys(wanted))}"


def _real_keys(location: Sequence[str | int]) -> KeyPath:
    """pydantic's location without the names that it gives to a union's members."""
    return tuple(
        part for part in location if isinstance(part, int) or not _UNION_MEMBERS.fullmatch(part)
    )


def _to_plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _to_plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_to_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for base in (int, float, str):
        if isinstance(node, base):
            return base(node)
    return node


def _lines(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """The line of every key and list item, counted from 1; merged keys (`<<`) have none of their own."""
    if not isinstance(node, CommentedMap | CommentedSeq):
        return
    for key, value in node.items() if isinstance(node, CommentedMap) else enumerate(node):
        where = (*path, key if isinstance(node, CommentedSeq) else str(key))
        if (position := (node.lc.data or {}).get(key)) is not None:
            yield where, position[0] + 1
        yield from _lines(value, where)


def _mark(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: Exception) -> str:
    text = error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)
    return " ".join(text.split())
