"""Ids are hashes of content.

A repeated request is therefore recognised, and only its missing parts are done.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

ID_LENGTH = 16
_CHUNK_BYTES = 1 << 20
_SCALARS = (str, int, float)
# Made once, as `json.dumps` would make one for each of the very many values.
_CANONICAL_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_id(value: object) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value` as canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:ID_LENGTH]


def canonical_json(value: object) -> str:
    return _CANONICAL_JSON.encode(value)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def to_plain(value: Any) -> Any:
    """Return a frozen value as dictionaries and lists, with all its fields."""
    if value is None or isinstance(value, _SCALARS):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in _fields_of(type(value))
        }
    return _convert_items(value, to_plain)


def omit_defaults(value: Any) -> Any:
    """Return the same as `to_plain`, without the fields that equal their default.

    A field that a later version adds, with a default, therefore changes no id.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: omit_defaults(getattr(value, field.name))
            for field in _fields_of(type(value))
            if field.default is MISSING or getattr(value, field.name) != field.default
        }
    return _convert_items(value, omit_defaults)


_fields_of = cache(fields)  # a sweep asks for those of very many trials


def _convert_items(value: Any, convert: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: convert(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [convert(item) for item in value]
    return value
