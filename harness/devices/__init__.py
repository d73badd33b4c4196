"""How one talks to a device: one file a link, and one transport over all of them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.device import AdbDevice, Device, LocalDevice, SshDevice
from harness.devices.adb import AdbLink
from harness.devices.link import Link
from harness.devices.local import LocalLink
from harness.devices.patience import Patience
from harness.devices.transport import (
    WATCH_INTERVAL_S,
    FileAbsent,
    ModelFile,
    RunResult,
    Transport,
    Turn,
)

__all__ = [
    "LINKS",
    "WATCH_INTERVAL_S",
    "FileAbsent",
    "Link",
    "ModelFile",
    "Patience",
    "RunResult",
    "Transport",
    "Turn",
    "jump_of",
    "make_link",
    "open_transport",
]

Registry = Mapping[str, Device]


def _local(_device: LocalDevice, _registry: Registry) -> Link:
    return LocalLink()


def _ssh(device: SshDevice, registry: Registry) -> Link:
    from harness.devices.ssh import (
        SshLink,
    )  # Fabric is slow to import: only who needs it waits for it

    return SshLink(device, jump_of(device, registry))


def _adb(device: AdbDevice, registry: Registry) -> Link:
    return AdbLink(
        device, LocalLink() if device.via is None else make_link(registry[device.via], registry)
    )


LINKS: dict[str, Callable[[Any, Registry], Link]] = {"local": _local, "ssh": _ssh, "adb": _adb}
_FOLDERS = {"ssh": ".cache/bnn-harness", "adb": "/data/local/tmp/bnn-harness"}


def make_link(device: Device, registry: Registry) -> Link:
    return LINKS[device.kind](device, registry)


def jump_of(device: SshDevice, registry: Registry) -> SshDevice | None:
    """The registered device that `jump` names, or one made of `[user@]host[:port]`."""
    if device.jump is None:
        return None
    if isinstance(found := registry.get(device.jump), SshDevice):
        return found
    user, _, rest = device.jump.rpartition("@")
    host, _, port = rest.partition(":")
    return SshDevice(
        id=device.jump, host=host, user=user or None, port=int(port) if port.isdigit() else None
    )


def open_transport(
    device: Device, registry: Registry, local_folder: Path, patience: Patience | None = None
) -> Transport:
    """Connects only once it is used; `local_folder` is this machine's own working folder for a device of kind local."""
    folder = device.folder or _FOLDERS.get(device.kind, str(local_folder))
    python = (
        sys.executable if device.kind == "local" and device.python == "python3" else device.python
    )
    return Transport(
        device.id,
        make_link(device, registry),
        folder=folder,
        interpreter=(python,),
        patience=patience,
    )
