"""`devices.yaml` → devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from pydantic import Field

from harness.config.document import Document, read_document, validate
from harness.core.bench import STRICT
from harness.core.device import DEVICES_FILE, Device, LocalDevice, SshDevice
from harness.core.errors import ConfigError
from harness.core.key_help import KeyHelp

THIS_MACHINE = LocalDevice(id="here")


@dataclass(frozen=True)
class DeviceRegistry:
    devices: Annotated[
        tuple[Annotated[Device, Field(discriminator="kind")], ...],
        MinLen(1),
        KeyHelp("The devices, each with an id of its own."),
    ]
    __pydantic_config__ = STRICT


def read_devices(path: Path) -> tuple[Device, ...]:
    """Every device of the registry, the disabled ones too. Raises ConfigError."""
    document = read_document(path)
    devices = validate(document, DeviceRegistry, value=document.content).devices
    _each_once(document, devices)
    hubs = {device.id: device for device in devices}
    for index, device in enumerate(devices):
        if (
            device.kind == "adb"
            and device.via is not None
            and not isinstance(hubs.get(device.via), SshDevice)
        ):
            known = ", ".join(id for id, hub in hubs.items() if isinstance(hub, SshDevice))
            raise document.error(
                ("devices", index, "via"),
                f"is {device.via!r}, which is no ssh device here; known: {known or 'none'}.",
            )
    return devices


def _each_once(document: Document, devices: Sequence[Device]) -> None:
    seen: set[str] = set()
    for index, device in enumerate(devices):
        if device.id in seen:
            raise document.error(
                ("devices", index, "id"),
                f"is {device.id!r} a second time; give each device an id of its own.",
            )
        seen.add(device.id)


def find_local_device(path: Path) -> Device:
    """The registry's enabled local device, or one called `here` where there is none."""
    if path == DEVICES_FILE and not path.exists():
        return THIS_MACHINE
    local = [device for device in read_devices(path) if device.kind == "local" and device.enabled]
    return local[0] if local else THIS_MACHINE


def select_devices(devices: Sequence[Device], ids: Sequence[str]) -> tuple[Device, ...]:
    """Raises ConfigError for an id that is not registered."""
    known: Mapping[str, Device] = {device.id: device for device in devices}
    for wanted in ids:
        if wanted not in known:
            raise ConfigError(f"device {wanted!r} is not registered; known: {', '.join(known)}.")
    return tuple(known[wanted] for wanted in ids)
