"""`--set train.epochs=1`, and the swept values, put into a document."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.config.document import Document, KeyPath, join_key
from harness.core.errors import ConfigError

_FLAT = ("grid",)  # sections whose keys have dots of their own


def parse_override(text: str) -> tuple[KeyPath, Any]:
    """`key=value`, the value read as YAML. Raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {text}: has to look like key=value, for example --set train.epochs=1."
        )
    try:
        return split_key(key.strip()), YAML(typ="safe", pure=True).load(value)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {text}: the value is no YAML that can be read.") from error


def split_key(dotted_key: str) -> KeyPath:
    first, dot, rest = dotted_key.partition(".")
    if dot and first in _FLAT:
        return (first, rest)
    return tuple(dotted_key.split("."))


def override(document: Document, path: KeyPath, value: Any, origin: str) -> Document:
    """The document with one key set. Raises ConfigError where a key on the way is no mapping."""
    content = _with(document.content, path, value=value, told=(path, origin))
    return replace(document.with_origin(path, origin), content=content)


def apply_override(document: Document, text: str) -> Document:
    """One `--set`: it replaces the swept values of the same key too."""
    path, value = parse_override(text)
    content = {
        key: _unswept(key, section, swept=".".join(map(str, path)))
        for key, section in document.content.items()
    }
    content = {key: section for key, section in content.items() if section is not None}
    return override(replace(document, content=content), path, value=value, origin=f"--set {text}")


def _unswept(section_key: str, section: Any, swept: str) -> Any:
    """A section that sweeps neither a key nor one below it: None where nothing is left of it.

    Points that then say the same are one.
    """
    if section_key == "grid" and isinstance(section, Mapping):
        return _without(section, swept) or (None if section else section)
    if section_key == "points" and isinstance(section, list):
        rest = [_without(point, swept) for point in section]
        return [point for index, point in enumerate(rest) if point not in rest[:index]]
    return section


def _without(point: Any, swept: str) -> Any:
    if not isinstance(point, Mapping):
        return point
    return {
        key: value
        for key, value in point.items()
        if key != swept and not key.startswith(f"{swept}.")
    }


def _with(node: Any, path: KeyPath, value: Any, told: tuple[KeyPath, str]) -> Any:
    """`told` is the whole path and its origin, for the error."""
    if not path:
        return value
    if isinstance(node, list) and str(path[0]).isdigit() and int(path[0]) < len(node):
        index = int(path[0])
        return [
            _with(item, path[1:], value=value, told=told) if at == index else item
            for at, item in enumerate(node)
        ]
    if not isinstance(node, Mapping):
        whole, origin = told
        above = join_key(whole[: len(whole) - len(path)])
        raise ConfigError(f"{origin}: {above} holds no keys, so {join_key(whole)} can't be set.")
    return {**node, path[0]: _with(node.get(path[0], {}), path[1:], value=value, told=told)}
