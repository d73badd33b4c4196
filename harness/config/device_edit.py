"""Changes to `devices.yaml` that preserve its comments: a new entry, a key of an entry."""

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from ruamel.yaml import YAML

from harness.config.device_file import read_devices
from harness.core.errors import ConfigError


def add_entry(path: Path, entry: Mapping[str, Any]) -> None:
    """Append a device to the registry, or create the registry.

    Raises ConfigError for an invalid entry, and leaves the file unchanged.
    """

    def append(content: dict[str, Any]) -> None:
        content.setdefault("devices", []).append(dict(entry))

    _edit(path, append)


def set_key(path: Path, device: str, key: str, value: str) -> None:
    """Set a key of a registered device's entry. Raises ConfigError."""

    def change(content: dict[str, Any]) -> None:
        for entry in content["devices"]:
            if entry["id"] == device:
                entry[key] = value

    _edit(path, change)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply a change, and replace the file only after the result was read as a registry."""
    if path.exists():
        read_devices(path)
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(path.read_text(encoding="utf-8")) if path.exists() else {}
    change(content)
    text = StringIO()
    yaml.dump(content, text)
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        partial.write_text(text.getvalue(), encoding="utf-8")
        read_devices(partial)
        if path.exists():
            partial.chmod(path.stat().st_mode)
        partial.replace(path)
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(partial), str(path))) from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be written: {error.strerror}; check the path.") from error
    finally:
        partial.unlink(missing_ok=True)
