"""What is true of devices now: whether each answers, what it is, whether its tool runs there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import uuid4

from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Tool
from harness.core.device import Device
from harness.core.errors import CaseFailed, DeviceBusy, Reason
from harness.devices import Patience, Transport, Turn, open_transport
from harness.fleet.device_tool import collect_facts, install_tool
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace
from harness.store.rows.leases import describe_owner

T = TypeVar("T")
_AT_ONCE = 32
_TOOL_TIMEOUT_S = 60.0
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class DeviceCheck:
    """`failure` is why it can't be benched now; what was found out before stays."""

    device: Device
    facts: Mapping[str, str] = field(default_factory=dict)
    tool: Tool | None = None
    failure: CaseFailed | None = None


@dataclass(frozen=True)
class DeviceAccess:
    """How devices are reached: over which hubs, from which workspace, with which tools."""

    registry: Mapping[str, Device]
    workspace: Workspace
    tools: Mapping[str, ToolFile]

    def open_transport(self, device: Device) -> Transport:
        """With little patience, as who asks sits there: enough for adb to notice that a phone was started anew."""
        folder = self.workspace.device_folder(device.id)
        return open_transport(
            device, self.registry, local_folder=folder, patience=Patience(seconds=_PATIENCE_S)
        )


def map_devices(devices: Sequence[Device], work: Callable[[Device], T]) -> Iterator[T]:
    """All at once, each answer as its turn comes."""
    with ThreadPoolExecutor(min(_AT_ONCE, len(devices) or 1)) as pool:
        yield from pool.map(work, devices)


def check_device(device: Device, access: DeviceAccess, with_tool: bool = True) -> DeviceCheck:
    transport = access.open_transport(device)
    facts: dict[str, str] = {}
    try:
        facts = collect_facts(transport)
        tool = _tool(device, transport, facts=facts, access=access) if with_tool else None
    except CaseFailed as failure:
        return DeviceCheck(device, facts, failure=failure)
    finally:
        transport.close()
    return DeviceCheck(device, facts, tool=tool)


def _tool(
    device: Device, transport: Transport, facts: Mapping[str, str], access: DeviceAccess
) -> Tool:
    """The tool that a bench would use, once it was seen to start. Raises CaseFailed."""
    device_tool = install_tool(device, transport, facts=facts, tools=access.tools)
    if device_tool.tool.name != PYTHON_RUNNER:
        started = transport.run([*device_tool.argv, "--help"], _TOOL_TIMEOUT_S)
        if started.exit_code in (126, 127) or started.exit_code > 128:
            said = (started.stderr.strip().splitlines() or [f"exit code {started.exit_code}"])[-1]
            message = f"device {device.id}: its tool {device_tool.tool.name} does not start ({said}): add another build of it."
            raise CaseFailed(Reason.CRASHED, message, log=started.stderr)
    return device_tool.tool


def clean_device(
    device: Device, access: DeviceAccess, limit_bytes: int
) -> tuple[Device, int, CaseFailed | None]:
    """Bytes freed on a device that nobody is using."""
    transport = access.open_transport(device)
    try:
        with hold_device(device, transport):
            return device, sum(transport.clean(limit_bytes).values()), None
    except CaseFailed as failure:
        return device, 0, failure
    finally:
        transport.close()


@contextmanager
def hold_device(device: Device, transport: Transport) -> Iterator[Turn]:
    """The device is ours meanwhile. Raises DeviceBusy where it is someone else's."""
    turn = Turn(uuid4().hex, describe_owner())
    try:
        if (holder := transport.take_turn(turn)) is not None:
            raise DeviceBusy(f"device {device.id}: used by {holder}; try again later.")
        yield turn
    finally:
        with suppress(CaseFailed):
            transport.release_turn(turn)
