"""The reader of the device registry, `devices.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from pydantic import Field

from harness.config.document import Document, read_document, validate
from harness.core.bench import STRICT
from harness.core.device import (
    DEVICES_FILE,
    AdbDevice,
    Device,
    LocalDevice,
    SshDevice,
    address_of,
    hops_of,
)
from harness.core.errors import ConfigError
from harness.core.key_help import KeyHelp
from harness.core.ssh import parse_address, parse_public_key

THIS_MACHINE = LocalDevice(id="here")


@dataclass(frozen=True)
class DeviceRegistry:
    """The top-level keys of `devices.yaml`."""

    devices: Annotated[
        tuple[Annotated[Device, Field(discriminator="kind")], ...],
        MinLen(1),
        KeyHelp("The devices, each with a unique id."),
    ]
    __pydantic_config__ = STRICT


def read_devices(path: Path) -> tuple[Device, ...]:
    """Return every device of the registry, including disabled ones. Raises ConfigError."""
    document = read_document(path)
    devices = tuple(
        _with_address(document, index, device=device)
        for index, device in enumerate(
            validate(document, DeviceRegistry, value=document.content).devices
        )
    )
    _check_ids(document, devices)
    _check_addresses(document, devices)
    _check_hubs(document, devices)
    _check_ssh(document, devices)
    return devices


def _with_address(document: Document, index: int, device: Device) -> Device:
    """Return the device with the user and port that its `host` may name, as `ssh` takes them."""
    if not isinstance(device, SshDevice):
        return device
    path = ("devices", index, "host")
    try:
        address = parse_address(device.host)
    except ValueError as error:
        raise document.error(
            path, f"is {device.host!r}, but must be a host name or address: {error}."
        ) from error
    for key in ("user", "port"):
        part, value = getattr(address, key), getattr(device, key)
        if None not in (part, value) and part != value:
            raise document.error(
                path, f"names the {key} {part!r}, but {key} is {value!r}; remove one."
            )
    return replace(
        device,
        host=address.host,
        user=address.user or device.user,
        port=address.port or device.port,
    )


def _check_ids(document: Document, devices: Sequence[Device]) -> None:
    numbers: dict[str, int] = {}
    for index, device in enumerate(devices):
        if device.id in numbers:
            raise document.error(
                ("devices", index, "id"),
                f"repeats {device.id!r}, the id of devices.{numbers[device.id]}; "
                "give each device a unique id.",
            )
        numbers[device.id] = index


def _check_addresses(document: Document, devices: Sequence[Device]) -> None:
    ids: dict[tuple[object, ...], str] = {}
    for index, device in enumerate(devices):
        address = address_of(device)
        if address is None:
            continue
        if address in ids:
            key = str(address[0])
            raise document.error(
                ("devices", index, key),
                f"makes {device.id!r} the same device as {ids[address]!r}; remove one of them.",
            )
        ids[address] = device.id


def _check_hubs(document: Document, devices: Sequence[Device]) -> None:
    hubs = [device.id for device in devices if isinstance(device, SshDevice)]
    for index, device in enumerate(devices):
        if isinstance(device, AdbDevice) and device.via is not None and device.via not in hubs:
            remedy = f"choose from: {', '.join(hubs)}" if hubs else "add that hub to the file"
            raise document.error(
                ("devices", index, "via"), f"is {device.via!r}, not an ssh device; {remedy}."
            )


def _check_ssh(document: Document, devices: Sequence[Device]) -> None:
    registry = {device.id: device for device in devices}
    for index, device in enumerate(devices):
        if not isinstance(device, SshDevice):
            continue
        try:
            hops_of(device, registry)
        except ValueError as error:
            raise document.error(
                ("devices", index, "jump"),
                f"is {device.jump!r}, but must be an ssh device or [user@]host[:port]: {error}.",
            ) from error
        if device.host_key is not None:
            _check_host_key(document, index, text=device.host_key)


def _check_host_key(document: Document, index: int, text: str) -> None:
    try:
        parse_public_key(text)
    except ValueError as error:
        raise document.error(
            ("devices", index, "host_key"),
            f"is not a public key ({error}); remove it and run `harness devices trust`.",
        ) from error


def find_local_device(path: Path) -> Device:
    """Return the registry's first enabled local device, or one with the id `here` if it has none.

    A registry at the default path may be missing. Raises ConfigError.
    """
    if path == DEVICES_FILE and not path.exists():
        return THIS_MACHINE
    for device in read_devices(path):
        if device.kind == "local" and device.enabled:
            return device
    return THIS_MACHINE


def select_devices(devices: Sequence[Device], ids: Sequence[str]) -> tuple[Device, ...]:
    """Return the devices with these ids, in their order. Raises ConfigError for an unknown id."""
    by_id = {device.id: device for device in devices}
    for id in ids:
        if id not in by_id:
            raise ConfigError(f"Device {id!r} is not registered; choose from: {', '.join(by_id)}.")
    return tuple(by_id[id] for id in ids)
