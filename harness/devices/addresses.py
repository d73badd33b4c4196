"""The addresses of boards and of this machine, which tell whether a board trains, too."""

import socket

import psutil

from harness.core.device import NO_JUMP, SshDevice
from harness.core.errors import Unreachable
from harness.devices.ssh_settings import read_settings


def find_own_addresses() -> frozenset[str]:
    """Return the IP addresses of this machine, loopback included."""
    families = (socket.AF_INET, socket.AF_INET6)
    addresses: set[str] = set()
    for interface in psutil.net_if_addrs().values():
        addresses.update(entry.address for entry in interface if entry.family in families)
    return frozenset(address.partition("%")[0] for address in addresses)


def find_board_addresses(device: SshDevice) -> frozenset[str]:
    """Return the IP addresses of a board that is reached directly.

    There are none if a proxy or a jump host leads to it, or if its name or its SSH configuration
    can't be resolved.
    """
    try:
        settings = read_settings(device, directly=device.jump == NO_JUMP)
        if device.jump not in (None, NO_JUMP) or settings.proxy_command or settings.proxy_jump:
            return frozenset()
        entries = socket.getaddrinfo(settings.hostname, settings.port)
    except (Unreachable, OSError, UnicodeError):
        return frozenset()
    return frozenset(str(address[0]).partition("%")[0] for *_, address in entries)
