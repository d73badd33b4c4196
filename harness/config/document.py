"""YAML files whose keys know their line, and values that are checked against a core type."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.config.yaml_text import (
    MAX_CHARACTERS,
    KeyPath,
    YamlTextError,
    read_yaml,
    show_briefly,
)
from harness.core.device import DEVICE_KINDS
from harness.core.errors import ConfigError

T = TypeVar("T")

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
_MAX_NAMES = 5
_UNION_MEMBERS = re.compile(
    r"float|int|constrained-(float|int)|Schedule|Initializer|Range|Gates"
    rf"|(literal|dict|tuple)\[.*\]|{'|'.join(DEVICE_KINDS)}"
)


class Override(NamedTuple):
    """A key that `origin`, an option or another line of the file, replaced with all below it."""

    path: KeyPath
    origin: str


@dataclass(frozen=True)
class Document:
    """The top-level mapping of a YAML file.

    `lines` has the lines of its keys. `overrides` were made afterwards, in this order.
    """

    name: str
    content: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    overrides: tuple[Override, ...] = ()

    def locate(self, path: KeyPath) -> str:
        """Return the file and line of a key, or of the nearest enclosing key in the file.

        For a key that was not set by the file, return its origin.
        """
        for length in range(len(path), -1, -1):
            if place := self._find_place(path[:length]):
                return place
        return self.name

    def _find_place(self, path: KeyPath) -> str:
        """Return where this very key was set; empty if it was not, or was replaced since."""
        creator = ""
        steps = tuple(map(str, path))  # of an option, which also writes indices as text
        for override in reversed(self.overrides):
            if steps[: len(override.path)] == override.path:
                return override.origin if steps == override.path else creator
            if steps and override.path[: len(steps)] == steps:
                creator = override.origin  # it created the section, if nothing earlier did
        line = self.lines.get(path)
        return creator if line is None else f"{self.name}:{line}"

    def error(self, path: KeyPath, problem: str) -> ConfigError:
        """Return an error about a key; `problem` continues a sentence that starts with the key."""
        return ConfigError(f"{self.locate(path)}: {join_key(path)} {problem}")


def join_key(path: KeyPath) -> str:
    return show_briefly(".".join(map(str, path))) or "the file"


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises ConfigError if it is unreadable, invalid, or not a mapping."""
    try:
        yaml_text = read_yaml(read_bounded(path, MAX_CHARACTERS))
    except YamlTextError as error:
        line = f":{error.line}" if error.line else ""
        raise ConfigError(f"{path}{line}: {error}.") from error
    if not isinstance(yaml_text.value, dict):
        raise ConfigError(f"{path}:1: must be a mapping of keys to values.")
    return Document(str(path), yaml_text.value, lines=yaml_text.lines)


def read_bounded(path: Path, max_bytes: int) -> str:
    """Return the text of a file. Raises ConfigError if it is unreadable, larger, or not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise ConfigError(f"{path}: is larger than {max_bytes:,} bytes; split it.")
        return content.decode("utf-8-sig")  # spreadsheets and editors may write a byte order mark
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file in UTF-8; save it as one.") from error


def validate(document: Document, kind: type[T], value: object, prefix: KeyPath = ()) -> T:
    """Return `value` as a `kind`, strictly: a string never becomes a number.

    Raises ConfigError, which names the first wrong key.
    """
    try:
        return check(kind, value)
    except ValidationError as error:
        raise explain(error, document, prefix=prefix) from error


def check(kind: type[T], value: object) -> T:
    """Return `value` as a `kind`, strictly. Raises pydantic's ValidationError."""
    checked: T = _adapter(kind).validate_json(json.dumps(value), strict=True)
    return checked


# Cached, because a sweep checks hundreds of points.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def explain(error: ValidationError, document: Document, prefix: KeyPath = ()) -> ConfigError:
    """Return an error in the user's words, about a value at `prefix` in the document."""
    problems: dict[KeyPath, list[Any]] = {}
    for problem in error.errors(include_url=False):
        path = prefix + _without_union_members(problem["loc"])
        problems.setdefault(path, []).append(problem)
    # The deepest key is the most exact. A union has a problem for each of its forms, and a list
    # may have one for an item and one for itself.
    deepest = max(problems, key=len)
    others = {path for path in problems if path != deepest[: len(path)]}
    also = f" (also wrong: {_list_keys(others)})" if others else ""
    text = _describe_problems(_select_form(problems[deepest]))
    return document.error(deepest, f"{text}{also}.")


def _list_keys(paths: Collection[KeyPath]) -> str:
    names = sorted(map(join_key, paths))
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _select_form(problems: Sequence[Any]) -> Sequence[Any]:
    """Return the problems of the union's form that the value has; all if it has none.

    For a mapping, for example, the problems of the form for lists are left out.
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
    value = show_briefly(json.dumps(first["input"], default=str))
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
