"""YAML text as plain values, with the line of each key.

The text comes from outside. Its size, its nesting and what its aliases repeat are therefore
bounded, so that no text takes more than a second. Scalars have the types of YAML 1.2's core schema
(https://yaml.org/spec/1.2.2/#103-core-schema): `1e-3` is a number, and `yes` is text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from harness.core.errors import first_line

KeyPath = tuple[str | int, ...]

MAX_CHARACTERS = 1_000_000
MAX_VALUES = 200_000
MAX_DEPTH = 50

_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_MERGE = "<<"
_STRING = "tag:yaml.org,2002:str"
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 400  # the largest float has 309
_SHOWN_LENGTH = 60


class YamlTextError(ValueError):
    """Text that is not YAML, or exceeds a bound; `line` counts from 1, and is 0 if unknown."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class YamlText:
    """The value of a YAML text, and the line of each of its keys and list items."""

    value: Any
    lines: Mapping[KeyPath, int]


class _Anchored(NamedTuple):
    """A value that an alias may repeat, and how many values it consists of."""

    value: Any
    size: int


def read_yaml(text: str) -> YamlText:
    """Return the values of a text with one document; None if it is empty.

    Raises YamlTextError.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlTextError(
            f"is longer than {MAX_CHARACTERS:,} characters; make it shorter, or split it"
        )
    try:
        reader = _Reader(yaml.parse(text, Loader=_PARSER))
        return YamlText(reader.read_document(), reader.lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise YamlTextError(f"is not valid YAML: {error.problem or error.context}", line) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlTextError(f"is not valid YAML: {first_line(error)}") from error


def show_briefly(text: str) -> str:
    """Return a text from outside for a message: on one line, and cut off if it is long."""
    if len(text) > _SHOWN_LENGTH:
        text = f"{text[: _SHOWN_LENGTH - 1]}…"
    return text if text.isprintable() else repr(text)[1:-1]


@dataclass
class _Reader:
    """A reader of the parser's events; `count` values were read, at a nesting of `depth`."""

    events: Iterator[yaml.Event]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    count: int = 0
    depth: int = 0

    def read_document(self) -> Any:
        next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._read(next(self.events), ())
        next(self.events)  # the document's end
        if not isinstance(event := next(self.events), yaml.StreamEndEvent):
            raise _problem(event, "has a second document; remove it")
        return value

    def _read(self, event: yaml.Event, path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._repeat(event)
        before = self.count
        self._count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = _convert_scalar(event)
        else:
            if event.tag is not None:
                raise _problem(event, f"has the tag {show_briefly(event.tag)}; remove it")
            if self.depth == MAX_DEPTH:
                raise _problem(event, f"is nested more than {MAX_DEPTH} levels deep; flatten it")
            self.depth += 1
            is_list = isinstance(event, yaml.SequenceStartEvent)
            value = self._read_list(path) if is_list else self._read_mapping(path)
            self.depth -= 1
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, self.count - before)
        return value

    def _count(self, event: yaml.Event, values: int) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            raise _problem(
                event, f"has more than {MAX_VALUES:,} values, or aliases that repeat as many"
            )

    def _repeat(self, event: yaml.AliasEvent) -> Any:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            alias = show_briefly(event.anchor)
            raise _problem(event, f"has the alias *{alias} without an anchor &{alias} above it")
        self._count(event, anchored.size)
        return anchored.value

    def _read_list(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item_path = (*path, len(values))
            self.lines[item_path] = event.start_mark.line + 1
            values.append(self._read(event, item_path))
        return values

    def _read_mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._read_key(event)
            key_path = (*path, key)
            if key in values or (key == _MERGE and merged):
                raise _problem(event, f"found duplicate key {show_briefly(key)}")
            if key == _MERGE and event.implicit[0]:
                merged = self._read_merged(event, path)
                continue
            self.lines[key_path] = event.start_mark.line + 1
            values[key] = self._read(next(self.events), key_path)
        return {**merged, **values}

    def _read_key(self, event: yaml.Event) -> str:
        if isinstance(event, yaml.AliasEvent):
            key = self._repeat(event)
            if isinstance(key, dict | list):
                raise _problem(event, "has a list or a mapping as a key; use text")
            return str(key)
        if not isinstance(event, yaml.ScalarEvent):
            raise _problem(event, "has a list or a mapping as a key; use text")
        self._count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(event.value, 1)
        return str(event.value)

    def _read_merged(self, event: yaml.Event, path: KeyPath) -> dict[str, Any]:
        """Return the keys that `<<` adds, which the mapping's own keys take precedence over."""
        source = self._read(next(self.events), path)
        merged: dict[str, Any] = {}
        for mapping in reversed(source if isinstance(source, list) else [source]):
            if not isinstance(mapping, dict):
                raise _problem(event, "has a << without a mapping; give it an alias of one")
            merged.update(mapping)
        return merged


def _problem(event: yaml.Event, problem: str) -> YamlTextError:
    return YamlTextError(problem, event.start_mark.line + 1)


def _convert_scalar(event: yaml.ScalarEvent) -> Any:
    """Return a scalar's value: text if it is quoted or tagged `!!str`, else what it looks like."""
    if event.implicit[0]:
        return _convert_plain(event, event.value)
    if event.tag not in (None, "!", _STRING):
        raise _problem(event, f"has the tag {show_briefly(event.tag)}; remove it")
    return event.value


def _convert_plain(event: yaml.ScalarEvent, text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise _problem(event, f"has a number of more than {_MAX_DIGITS} digits; shorten it")
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if match := _SPECIAL_FLOAT.fullmatch(text):
        return float(f"{match[1] or ''}{'inf' if match[2] else 'nan'}")
    return text
