"""Communication with devices: a file for each kind of link, and one transport over all of them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.device import DEFAULT_PYTHON, AdbDevice, Device, LocalDevice, SshDevice, hops_of
from harness.devices.adb import AdbLink
from harness.devices.link import Link
from harness.devices.local import LocalLink
from harness.devices.patience import Patience
from harness.devices.run_result import RunResult
from harness.devices.transport import (
    SLOWEST_BYTES_PER_S,
    WATCH_INTERVAL_S,
    FileAbsent,
    ModelFile,
    Transport,
    Turn,
)

__all__ = [
    "LINKS",
    "SLOWEST_BYTES_PER_S",
    "WATCH_INTERVAL_S",
    "FileAbsent",
    "Link",
    "ModelFile",
    "Patience",
    "RunResult",
    "Transport",
    "Turn",
    "make_link",
    "open_transport",
]

Registry = Mapping[str, Device]


def _make_local_link(_device: LocalDevice, _registry: Registry) -> Link:
    return LocalLink()


def _make_ssh_link(device: SshDevice, registry: Registry) -> Link:
    # Fabric is slow to import: only users of SSH wait for it.
    from harness.devices.ssh import SshLink

    return SshLink(hops_of(device, registry))


def _make_adb_link(device: AdbDevice, registry: Registry) -> Link:
    host = LocalLink() if device.via is None else make_link(registry[device.via], registry)
    return AdbLink(device, host)


LINKS: dict[str, Callable[[Any, Registry], Link]] = {
    "local": _make_local_link,
    "ssh": _make_ssh_link,
    "adb": _make_adb_link,
}
"""Device kind → the function that makes its link."""

_DEFAULT_FOLDERS = {"ssh": ".cache/bnn-harness", "adb": "/data/local/tmp/bnn-harness"}


def make_link(device: Device, registry: Registry) -> Link:
    """Return the link to a device; it connects when it is opened."""
    return LINKS[device.kind](device, registry)


def open_transport(
    device: Device, registry: Registry, local_folder: Path, patience: Patience | None = None
) -> Transport:
    """Return a transport to the device; it connects when it is first used.

    `local_folder` is the working folder of a device of kind local without a `folder`.
    """
    folder = device.folder or _DEFAULT_FOLDERS.get(device.kind, str(local_folder))
    is_default_python = device.kind == "local" and device.python == DEFAULT_PYTHON
    python = sys.executable if is_default_python else device.python
    return Transport(
        device.id,
        make_link(device, registry),
        folder=folder,
        interpreter=(python,),
        patience=patience,
    )
