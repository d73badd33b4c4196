"""Devices, as `devices.yaml` describes them. Transports know how to talk to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from annotated_types import Ge, Gt, Le, MinLen

from harness.core.bench import MAX_THREADS, STRICT
from harness.core.key_help import KeyHelp
from harness.core.ssh import parse_address

DEVICES_FILE = Path("devices.yaml")
"""The registry unless the user names another."""
MAX_CPUS = 1024
SSH_PORT = 22
_ADB_PORT = 5555
DEFAULT_PYTHON = "python3"
ABI: TypeAlias = Literal["aarch64", "aarch32", "android-arm64", "x86_64"]
Threads: TypeAlias = Annotated[int, Ge(1), Le(MAX_THREADS)]
Port: TypeAlias = Annotated[int, Ge(1), Le(65535)]
Text: TypeAlias = Annotated[str, MinLen(1)]


@dataclass(frozen=True, kw_only=True)
class _Device:
    """The keys that every entry may have."""

    id: Annotated[Text, KeyHelp("The device's name, as stored in every row.", example="pi4")]
    tags: Annotated[
        tuple[str, ...], KeyHelp("Labels by which `--tag` selects devices.", example=["cortex-a72"])
    ] = ()
    enabled: Annotated[bool, KeyHelp("Whether `--fleet` and `--tag` include the device.")] = True
    abi: Annotated[
        ABI | None,
        KeyHelp(
            "The kind of programs it runs; without it, the device is asked.", example="aarch64"
        ),
    ] = None
    tool: Annotated[
        Text | None,
        KeyHelp(
            "A tool of `harness tools list`, or `python_runner`; without it, one that fits `abi`.",
            example="python_runner",
        ),
    ] = None
    python: Annotated[Text, KeyHelp("The Python on the device that has an interpreter.")] = (
        DEFAULT_PYTHON
    )
    threads: Annotated[
        Annotated[tuple[Threads, ...], MinLen(1)] | None,
        KeyHelp(
            "Thread counts to measure, unless the command says otherwise.",
            unit="threads",
            example=[1, 2],
        ),
    ] = None
    cpus: Annotated[
        Literal["big", "all"] | tuple[Annotated[int, Ge(0), Le(MAX_CPUS - 1)], ...],
        KeyHelp(
            "The tool's cores: a list, `all`, or the `big` ones if some are faster than others.",
            example=[2, 3],
        ),
    ] = "big"
    governor: Annotated[
        Text | None,
        KeyHelp(
            "The cpufreq governor during a bench, restored afterwards; needs root.",
            example="performance",
        ),
    ] = None
    power: Annotated[
        Text | None, KeyHelp("A command on the device that prints watts.", example="cat /tmp/watts")
    ] = None
    folder: Annotated[
        Text | None, KeyHelp("The working folder on the device.", example="/data/bench")
    ] = None
    cache_mb: Annotated[
        int,
        Ge(1),
        KeyHelp(
            "How much artifacts and tools may take of the working folder.",
            unit="MB of 1,000,000 bytes",
        ),
    ] = 2000
    timeout_s: Annotated[
        Annotated[float, Gt(0)] | None,
        KeyHelp(
            "The time limit of one process; without it, the protocol decides.",
            unit="s",
            example=600,
        ),
    ] = None
    patience_s: Annotated[
        float,
        Ge(0),
        KeyHelp("How long to keep trying to reconnect after a lost connection.", unit="s"),
    ] = 120.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class LocalDevice(_Device):
    """This machine."""

    kind: Annotated[Literal["local"], KeyHelp("This machine.")] = "local"
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class SshDevice(_Device):
    """A board. `~/.ssh/config` supplies the connection settings that its entry lacks."""

    kind: Annotated[Literal["ssh"], KeyHelp("A board, over SSH.")] = "ssh"
    host: Annotated[
        Text, KeyHelp("The host name or address, or a name of `~/.ssh/config`.", example="pi4.lab")
    ]
    port: Annotated[
        Port | None, KeyHelp("The SSH port; without it, `~/.ssh/config` decides.", example=22)
    ] = None
    user: Annotated[
        Text | None,
        KeyHelp("The user to log in as; without it, `~/.ssh/config` decides.", example="pi"),
    ] = None
    key: Annotated[
        Text | None,
        KeyHelp(
            "The file of the private key; without it, `~/.ssh/config` decides.",
            example="~/.ssh/id_ed25519",
        ),
    ] = None
    jump: Annotated[
        Text | None,
        KeyHelp(
            "The host on the way: an ssh device's id, or `[user@]host[:port]`; `none`: no host. "
            "Without it, `~/.ssh/config` decides.",
            example="gateway",
        ),
    ] = None
    host_key: Annotated[
        Text | None,
        KeyHelp(
            "The only trusted host key, as `type base64`; "
            "without it, the `known_hosts` files decide.",
            example="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…",
        ),
    ] = None
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class AdbDevice(_Device):
    """A phone, attached to this machine or to another device."""

    kind: Annotated[Literal["adb"], KeyHelp("A phone, over adb.")] = "adb"
    serial: Annotated[
        Text,
        KeyHelp(
            "The phone's serial, as `adb devices` shows it, or its port, such as `usb:1-2`.",
            example="1A051FDF6007",
        ),
    ]
    via: Annotated[
        Text | None,
        KeyHelp(
            "The id of the ssh device that the phone is attached to; without it, this machine.",
            example="hub",
        ),
    ] = None
    __pydantic_config__ = STRICT


Device: TypeAlias = LocalDevice | SshDevice | AdbDevice
DEVICE_KINDS: tuple[str, ...] = tuple(kind.kind for kind in get_args(Device))


def address_of(device: Device) -> tuple[object, ...] | None:
    """Return what only one entry of a registry may have: the place where a device is reached.

    Hosts behind different jump hosts, and phones on different hubs, may share an address. So may
    the entries of one board that each name a working folder of their own, such as containers.
    """
    if isinstance(device, SshDevice):
        host = _spell_host(device.host)
        return ("host", host, device.port or SSH_PORT, device.jump, device.folder)
    if isinstance(device, AdbDevice):
        return ("serial", _spell_serial(device.serial), device.via)
    return None


def _spell_serial(serial: str) -> str:
    """Return the one spelling of a serial: adb takes `HOST` for a phone at `HOST:5555`, too."""
    try:
        address = parse_address(serial.removeprefix("tcp:"))
    except ValueError:
        return serial
    is_network = "." in address.host or ":" in address.host
    host = _spell_host(address.host) if is_network else address.host
    return f"{address.user or ''}@{host}:{address.port or _ADB_PORT}"


def _spell_host(host: str) -> str:
    """Return the one spelling of a host: `0:0::1` is `::1`."""
    host = host.lower().strip("[]").rstrip(".")
    try:
        return str(ip_address(host))
    except ValueError:
        return host


NO_JUMP = "none"
"""The value of `jump` that connects directly, whatever `~/.ssh/config` says."""


def hops_of(
    device: SshDevice, registry: Mapping[str, Device], *, visited: frozenset[str] = frozenset()
) -> tuple[SshDevice, ...]:
    """Return the hosts to log in to on the way to a device, in order; the device is the last.

    `jump` names a registered ssh device, with hops of its own, or an address. As in OpenSSH, commas
    separate several. Raises ValueError, whose text says what is wrong with `jump`.
    """
    if device.jump is None or (device.jump == NO_JUMP and NO_JUMP not in registry):
        return (device,)
    visited |= {device.id}
    names = [device.jump] if device.jump in registry else device.jump.split(",")
    first, *others = [_find_hop(name.strip(), registry) for name in names]
    if first.id in visited:
        raise ValueError(f"leads back to {first.id!r}")
    return (*hops_of(first, registry, visited=visited), *others, device)


def _find_hop(name: str, registry: Mapping[str, Device]) -> SshDevice:
    registered = registry.get(name)
    if isinstance(registered, SshDevice):
        return registered
    if registered is not None:
        raise ValueError(f"names {name!r}, which is not an ssh device")
    address = parse_address(name)
    return SshDevice(id=name, host=address.host, user=address.user, port=address.port)
