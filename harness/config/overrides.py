"""Values that are set in a document: swept ones, and those of `--set train.epochs=1`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.config.document import Document, Override, join_key
from harness.config.yaml_text import MAX_CHARACTERS, KeyPath, YamlTextError, read_yaml, show_briefly
from harness.core.errors import ConfigError

_FLAT_SECTIONS = ("grid",)  # their keys contain dots
_MAX_PARTS = 20


def parse_override(text: str, option: str = "--set") -> tuple[KeyPath, Any]:
    """Parse `key=value`, with the value as YAML. Raises ConfigError."""
    key, equals, value = text.partition("=")
    setting = f"{option} {show_briefly(text)}"
    if not equals or not key.strip():
        raise ConfigError(f"{setting}: write key=value, for example {option} train.epochs=1.")
    if not _is_unicode(key):
        raise ConfigError(f"{setting}: is not text in UTF-8; type it again.")
    path = split_key(key.strip())
    if len(key) > MAX_CHARACTERS or len(path) > _MAX_PARTS:
        raise ConfigError(f"{setting}: the key has more than {_MAX_PARTS} parts; check its dots.")
    try:
        return path, read_yaml(value).value
    except YamlTextError as error:
        raise ConfigError(
            f"{setting}: the value {error}; quote it if it has special characters."
        ) from error


def _is_unicode(text: str) -> bool:
    """Return whether the text was valid UTF-8 on the command line."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def split_key(dotted_key: str) -> KeyPath:
    first, dot, rest = dotted_key.partition(".")
    if dot and first in _FLAT_SECTIONS:
        return (first, rest)
    return tuple(dotted_key.split("."))


def override(document: Document, path: KeyPath, value: Any, origin: str) -> Document:
    """Return the document with one key set. Raises ConfigError if its section is not a mapping."""
    change = Override(path, origin)
    content = _replace_key(document.content, change, value=value)
    overrides = (*document.overrides, change)
    return Document(document.name, content, lines=document.lines, overrides=overrides)


def apply_override(document: Document, text: str) -> Document:
    """Return the document after one `--set`, which also replaces swept values of its key."""
    path, value = parse_override(text)
    content = {
        key: _stop_sweeping(key, section, swept_key=".".join(map(str, path)))
        for key, section in document.content.items()
    }
    content = {key: section for key, section in content.items() if section is not None}
    return override(
        replace(document, content=content), path, value=value, origin=f"--set {show_briefly(text)}"
    )


def _stop_sweeping(section_key: str, section: Any, swept_key: str) -> Any:
    """Return the section without a swept key and those below it; None if nothing remains.

    Points that are equal without it become one.
    """
    if section_key == "grid" and isinstance(section, Mapping):
        return _remove_key(section, swept_key) or (None if section else section)
    if section_key == "points" and isinstance(section, list):
        points = [_remove_key(point, swept_key) for point in section]
        return list({json.dumps(point, sort_keys=True): point for point in points}.values())
    return section


def _remove_key(values: Any, swept_key: str) -> Any:
    if not isinstance(values, Mapping):
        return values
    return {
        key: value
        for key, value in values.items()
        if key != swept_key and not key.startswith(f"{swept_key}.")
    }


def _replace_key(node: Any, change: Override, value: Any, depth: int = 0) -> Any:
    """Return `node`, which is `depth` steps along the path of the change, with the value set."""
    if depth == len(change.path):
        return value
    step = str(change.path[depth])
    if isinstance(node, list) and (index := _parse_index(step, node)) is not None:
        below = _replace_key(node[index], change, value=value, depth=depth + 1)
        return [*node[:index], below, *node[index + 1 :]]
    if not isinstance(node, Mapping):
        section = join_key(change.path[:depth])
        raise ConfigError(
            f"{change.origin}: {join_key(change.path)} can't be set, because {section} has no "
            f"keys; set {section} itself."
        )
    return {**node, step: _replace_key(node.get(step, {}), change, value=value, depth=depth + 1)}


def _parse_index(step: str, items: list[Any]) -> int | None:
    """Return the index that a step of a key names, or None if it names no item."""
    if not (step.isascii() and step.isdigit() and len(step) <= len(str(len(items)))):
        return None
    return int(step) if int(step) < len(items) else None
