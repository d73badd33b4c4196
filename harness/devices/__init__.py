"""How one talks to a device: one file a transport, one contract for all."""

from collections.abc import Callable
from pathlib import Path

from harness.core.bench import Device
from harness.devices.local import LocalTransport
from harness.devices.transport import Completed, Transport

TRANSPORTS: dict[str, Callable[[Device, Path], Transport]] = {"local": LocalTransport}

__all__ = ["TRANSPORTS", "Completed", "Transport"]
