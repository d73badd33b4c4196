"""The project's architecture, from pyproject.toml."""

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def read_contracts() -> list[dict[str, Any]]:
    """Return the contracts of import-linter."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def read_rooms() -> list[list[str]]:
    """Return the layers of rooms, the top one first; rooms of one layer are independent."""
    (contract,) = (entry for entry in read_contracts() if entry["type"] == "layers")
    return [_split_layer(layer) for layer in contract["layers"]]


def _split_layer(layer: str) -> list[str]:
    return [room.strip().removeprefix("harness.") for room in layer.split("|")]
