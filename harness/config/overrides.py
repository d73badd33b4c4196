"""Values that are set in a document: swept ones, and those of `--set train.epochs=1`."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.config.document import Document, KeyPath, join_key
from harness.core.errors import ConfigError

_FLAT_SECTIONS = ("grid",)  # their keys contain dots


def parse_override(text: str, option: str = "--set") -> tuple[KeyPath, Any]:
    """Parse `key=value`, with the value as YAML. Raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{option} {text}: write key=value, for example {option} train.epochs=1.")
    try:
        return split_key(key.strip()), YAML(typ="safe", pure=True).load(value)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{option} {text}: the value is not valid YAML; quote it if it has special characters."
        ) from error


def split_key(dotted_key: str) -> KeyPath:
    first, dot, rest = dotted_key.partition(".")
    if dot and first in _FLAT_SECTIONS:
        return (first, rest)
    return tuple(dotted_key.split("."))


def override(document: Document, path: KeyPath, value: Any, origin: str) -> Document:
    """Return the document with one key set. Raises ConfigError if its section is not a mapping."""
    content = _replace_key(document.content, path, value=value, full_path=path, origin=origin)
    return replace(document.with_origin(path, origin), content=content)


def apply_override(document: Document, text: str) -> Document:
    """Return the document after one `--set`, which also replaces swept values of its key."""
    path, value = parse_override(text)
    content = {
        key: _stop_sweeping(key, section, swept_key=".".join(map(str, path)))
        for key, section in document.content.items()
    }
    content = {key: section for key, section in content.items() if section is not None}
    return override(replace(document, content=content), path, value=value, origin=f"--set {text}")


def _stop_sweeping(section_key: str, section: Any, swept_key: str) -> Any:
    """Return the section without a swept key and those below it; None if nothing remains.

    Points that are equal without it become one.
    """
    if section_key == "grid" and isinstance(section, Mapping):
        return _remove_key(section, swept_key) or (None if section else section)
    if section_key == "points" and isinstance(section, list):
        points = [_remove_key(point, swept_key) for point in section]
        return [point for index, point in enumerate(points) if point not in points[:index]]
    return section


def _remove_key(values: Any, swept_key: str) -> Any:
    if not isinstance(values, Mapping):
        return values
    return {
        key: value
        for key, value in values.items()
        if key != swept_key and not key.startswith(f"{swept_key}.")
    }


def _replace_key(node: Any, path: KeyPath, value: Any, full_path: KeyPath, origin: str) -> Any:
    """Return `node` with the value at `path`; `full_path` and `origin` are for the error."""
    if not path:
        return value
    step, below = path[0], path[1:]
    replace_below = partial(
        _replace_key, path=below, value=value, full_path=full_path, origin=origin
    )
    if isinstance(node, list) and str(step).isdigit() and int(step) < len(node):
        return [
            replace_below(item) if index == int(step) else item for index, item in enumerate(node)
        ]
    if not isinstance(node, Mapping):
        section = join_key(full_path[: len(full_path) - len(path)])
        raise ConfigError(
            f"{origin}: {join_key(full_path)} can't be set, because {section} has no keys; "
            f"set {section} itself."
        )
    return {**node, step: replace_below(node.get(step, {}))}
