"""A YAML file that remembers where each key stands, and values checked against a core type."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.core.errors import SpecError

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
}
_UNION_MEMBERS = {"float", "constrained-float", "Schedule", "literal['auto']"}


@dataclass(frozen=True)
class Document:
    """A YAML file's top mapping; `origins` says of keys that were set elsewhere where that was."""

    name: str
    content: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    origins: Mapping[KeyPath, str]

    def where(self, path: KeyPath) -> str:
        """The file and line of a key, or of the nearest key above it that stands in the file."""
        for length in range(len(path), -1, -1):
            if (origin := self.origins.get(path[:length])) is not None:
                return origin
            if (line := self.lines.get(path[:length])) is not None:
                return f"{self.name}:{line}"
        return self.name

    def error(self, path: KeyPath, problem: str) -> SpecError:
        return SpecError(f"{self.where(path)}: {dotted(path)} {problem}")


def dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path) or "the file"


def read_document(path: Path) -> Document:
    """Raises SpecError where the file can't be read, is no YAML, or is no mapping."""
    try:
        content = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: can't be read: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is no text file; give a YAML file.") from error
    except YAMLError as error:
        raise SpecError(f"{path}{_mark(error)}: is no YAML: {_problem(error)}.") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}:1: has to be a mapping of keys to values.")
    return Document(str(path), _to_plain(content), dict(_lines(content, ())), {})


def check(document: Document, kind: type[T], value: object, prefix: KeyPath = ()) -> T:
    """`value` as a `kind`, strictly: no number from a string. Raises SpecError naming the first wrong key."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise _spec_error(document, prefix, error) from error


def _spec_error(document: Document, prefix: KeyPath, error: ValidationError) -> SpecError:
    problems = [(prefix + _real_keys(p["loc"]), p) for p in error.errors(include_url=False)]
    # The deepest says most: a union complains once for each of its forms, a list once for an item and once for itself.
    path, worst = max(problems, key=lambda found: len(found[0]))
    others = {other for other, _ in problems if other != path[: len(other)]}
    more = f" (wrong too: {', '.join(sorted(map(dotted, others)))})" if others else ""
    return document.error(path, f"{_PLAINER.get(worst['type']) or _sentence(worst)}{more}.")


def _sentence(problem: Any) -> str:
    message = problem["msg"][0].lower() + problem["msg"][1:]
    shown = json.dumps(problem["input"], default=str)
    return f"is {shown if len(shown) <= 60 else shown[:57] + '...'}, but {message}"


def _real_keys(location: Sequence[str | int]) -> KeyPath:
    """pydantic's location without the names that it gives to a union's members."""
    return tuple(part for part in location if part not in _UNION_MEMBERS)


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


def _lines(node: Any, path: KeyPath) -> list[tuple[KeyPath, int]]:
    """The line of every key and list item, counted from 1."""
    if isinstance(node, CommentedMap):
        here = [((*path, str(key)), node.lc.key(key)[0] + 1) for key in node]
        return here + [line for key, value in node.items() for line in _lines(value, (*path, str(key)))]
    if isinstance(node, CommentedSeq):
        here = [((*path, index), node.lc.item(index)[0] + 1) for index in range(len(node))]
        return here + [line for index, value in enumerate(node) for line in _lines(value, (*path, index))]
    return []


def _mark(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: YAMLError) -> str:
    text = error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)
    return " ".join(text.split())
