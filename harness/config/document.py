"""YAML files whose keys know their line, and values that are checked against a core type."""

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

_KINDS = ", ".join(DEVICE_KINDS)
_PROBLEMS = {
    "missing": "is missing; add it",
    "unexpected_keyword_argument": "is not a known key; check its spelling",
    "extra_forbidden": "is not a known key; check its spelling",
    "too_short": "is empty; give at least one value",
    "string_too_short": "is empty; give a value",
    "tuple_type": "must be a list, such as [a, b]",
    "dataclass_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "union_tag_not_found": f"has no kind; set kind to one of {_KINDS}",
    "union_tag_invalid": f"has an unknown kind; set kind to one of {_KINDS}",
}
"""Plainer texts than pydantic's, by its error types."""

_FORMS = {"dataclass_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list"}
_MAX_VALUE_LENGTH = 60
_UNION_MEMBERS = re.compile(
    r"float|int|constrained-(float|int)|Schedule|Initializer|Range|Gates"
    rf"|(literal|dict|tuple)\[.*\]|{'|'.join(DEVICE_KINDS)}"
)


@dataclass(frozen=True)
class Document:
    """The top-level mapping of a YAML file.

    `lines` has the lines of its keys. `origins` names the option that set a key instead.
    """

    name: str
    content: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    origins: Mapping[KeyPath, str]

    def locate(self, path: KeyPath) -> str:
        """Return the file and line of a key, or of the nearest enclosing key in the file.

        For a key that was not set by the file, return its origin.
        """
        for length in range(len(path), -1, -1):
            if (origin := self.origins.get(path[:length])) is not None:
                return origin
            if (line := self.lines.get(path[:length])) is not None:
                return f"{self.name}:{line}"
        return self.name

    def with_origin(self, path: KeyPath, origin: str) -> "Document":
        """Return the document after `origin` replaced a key and everything below it."""
        first_new_length = next(
            length
            for length in range(1, len(path) + 1)
            if length == len(path) or not self._has(path[:length])
        )
        origins = {
            **_drop_below(self.origins, path),
            **{path[:length]: origin for length in range(first_new_length, len(path) + 1)},
        }
        return replace(self, lines=_drop_below(self.lines, path), origins=origins)

    def _has(self, path: KeyPath) -> bool:
        return path in self.lines or path in self.origins

    def error(self, path: KeyPath, problem: str) -> ConfigError:
        """Return an error about a key; `problem` continues a sentence that starts with the key."""
        return ConfigError(f"{self.locate(path)}: {join_key(path)} {problem}")


def _drop_below(values: Mapping[KeyPath, T], path: KeyPath) -> dict[KeyPath, T]:
    return {key: value for key, value in values.items() if key[: len(path)] != path}


def join_key(path: KeyPath) -> str:
    return ".".join(str(part) for part in path) or "the file"


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises ConfigError if it is unreadable, invalid, or not a mapping."""
    try:
        content = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        plain = _to_plain(content)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file; give a YAML file.") from error
    except YAMLError as error:
        raise ConfigError(
            f"{path}{_format_line(error)}: is not valid YAML: {_describe(error)}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: has too long a number or too deep a nesting: {_describe(error)}."
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}:1: must be a mapping of keys to values.")
    return Document(str(path), plain, lines=dict(_find_lines(content, ())), origins={})


def validate(document: Document, kind: type[T], value: object, prefix: KeyPath = ()) -> T:
    """Return `value` as a `kind`, strictly: a string never becomes a number.

    Raises ConfigError, which names the first wrong key.
    """
    try:
        checked: T = _adapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise _translate(document, prefix, error=error) from error
    return checked


# Cached, because a sweep checks hundreds of points.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _translate(document: Document, prefix: KeyPath, error: ValidationError) -> ConfigError:
    problems: dict[KeyPath, list[Any]] = {}
    for problem in error.errors(include_url=False):
        path = prefix + _without_union_members(problem["loc"])
        problems.setdefault(path, []).append(problem)
    # The deepest key is the most exact. A union has a problem for each of its forms, and a list
    # may have one for an item and one for itself.
    deepest = max(problems, key=len)
    others = {path for path in problems if path != deepest[: len(path)]}
    also = f" (also wrong: {', '.join(sorted(map(join_key, others)))})" if others else ""
    text = _describe_problems(_select_form(problems[deepest]))
    return document.error(deepest, f"{text}{also}.")


def _select_form(problems: Sequence[Any]) -> Sequence[Any]:
    """Return the problems of the union's form that the value has; all if it has none.

    For a mapping, for example, it does not matter that it is no list.
    """
    matching = [
        problem
        for problem in problems
        if not problem["type"].endswith("_type") and problem["type"] != "literal_error"
    ]
    return matching or problems


def _describe_problems(problems: Sequence[Any]) -> str:
    """Describe the problems of one key; of a union, name each form that it may have."""
    first = problems[0]
    if len(problems) == 1 and (text := _PROBLEMS.get(first["type"])):
        return text
    if first["type"] == "value_error":  # about several keys together
        return f"is inconsistent: {first['ctx']['error']}"
    value = json.dumps(first["input"], default=str)
    if len(value) > _MAX_VALUE_LENGTH:
        value = f"{value[: _MAX_VALUE_LENGTH - 1]}…"
    forms = dict.fromkeys(
        _FORMS.get(problem["type"]) or problem["msg"].removeprefix("Input should be ")
        for problem in problems
    )
    return f"is {value}, but must be {' or '.join(forms)}"


def _without_union_members(location: Sequence[str | int]) -> KeyPath:
    """Return pydantic's location without the names that it gives to a union's members."""
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


def _find_lines(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Yield the line of every key and list item, from 1; merged keys (`<<`) have none."""
    if not isinstance(node, CommentedMap | CommentedSeq):
        return
    for key, value in node.items() if isinstance(node, CommentedMap) else enumerate(node):
        key_path = (*path, key if isinstance(node, CommentedSeq) else str(key))
        if (position := (node.lc.data or {}).get(key)) is not None:
            yield key_path, position[0] + 1
        yield from _find_lines(value, key_path)


def _format_line(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _describe(error: Exception) -> str:
    text = error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)
    return " ".join(text.split())
