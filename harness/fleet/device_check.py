"""The check of devices: whether each can be reached, its facts, and whether its tool runs."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TypeVar
from uuid import uuid4

from harness.bench.sensors import choose_cpus
from harness.bench.starting import diagnose_start
from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Tool
from harness.core.device import Device
from harness.core.errors import LONGEST_QUOTE, CaseFailed, DeviceBusy, Reason
from harness.core.exit_codes import SIGNALLED
from harness.devices import Patience, RunResult, Transport, Turn, open_transport
from harness.fleet.device_tool import collect_facts, install_tool
from harness.fleet.failures import to_failure
from harness.fleet.process import check_cpus
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace
from harness.store.rows.leases import describe_owner

T = TypeVar("T")
_MAX_PARALLEL = 32
_TOOL_TIMEOUT_S = 60.0
_PATIENCE_S = 3.0
_ENDING_S = 1.0  # for a device that answers to be released


@dataclass(frozen=True)
class DeviceCheck:
    """A device's facts and tool, as far as they were found before a `failure`."""

    device: Device
    facts: Mapping[str, str] = field(default_factory=dict)
    tool: Tool | None = None
    failure: CaseFailed | None = None


@dataclass(frozen=True)
class DeviceAccess:
    """The means to reach devices: the registry with their hubs, the workspace and the tools."""

    registry: Mapping[str, Device]
    workspace: Workspace
    tools: Mapping[str, ToolFile]

    def open_transport(self, device: Device) -> Transport:
        """Return a transport with little patience, as its user waits for the answer.

        It suffices for adb to notice that a phone was restarted.
        """
        folder = self.workspace.device_folder(device.id)
        return open_transport(
            device, self.registry, local_folder=folder, patience=Patience(seconds=_PATIENCE_S)
        )


def map_devices(
    devices: Sequence[Device], work: Callable[[Device], T]
) -> Iterator[tuple[Device, T | CaseFailed]]:
    """Call `work` for all devices in parallel, and yield each device with its result, in order.

    The result is a failure if `work` raised anything: no device affects another. An interrupt
    waits only briefly for devices that do not answer.
    """

    def attempt(device: Device) -> T | CaseFailed:
        try:
            return work(device)
        except BaseException as error:  # noqa: BLE001 - reported, as a bug unless it is a failure
            return to_failure(device.id, error)

    results: dict[str, Future[T | CaseFailed]] = {device.id: Future() for device in devices}
    remaining = deque(devices)

    def serve() -> None:
        with suppress(IndexError):  # once none remains
            while True:
                device = remaining.popleft()
                results[device.id].set_result(attempt(device))

    threads = [Thread(target=serve, daemon=True) for _ in devices[:_MAX_PARALLEL]]
    for thread in threads:
        thread.start()
    try:
        for device in devices:
            yield device, results[device.id].result()
    finally:
        remaining.clear()
        _join(threads, _ENDING_S)


def _join(threads: Sequence[Thread], timeout_s: float) -> None:
    """Wait for threads to end, all together no longer than this."""
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))


def check_device(device: Device, access: DeviceAccess, *, with_tool: bool = True) -> DeviceCheck:
    """Collect a device's facts, and install and start its tool."""
    facts: dict[str, str] = {}
    tool = None
    try:
        with closing(access.open_transport(device)) as transport:
            facts = collect_facts(transport)
            check_cpus(device, facts)
            if with_tool:
                tool = _try_tool(device, transport, facts=facts, access=access)
    except Exception as error:  # noqa: BLE001 - what was found before it is still of use
        return DeviceCheck(device, facts, tool=tool, failure=to_failure(device.id, error))
    return DeviceCheck(device, facts, tool=tool)


def _try_tool(
    device: Device, transport: Transport, facts: Mapping[str, str], access: DeviceAccess
) -> Tool:
    """Install the tool that a bench would use, and start it once. Raises CaseFailed."""
    device_tool = install_tool(device, transport, facts=facts, tools=access.tools)
    if device_tool.tool.name != PYTHON_RUNNER:
        cpus = choose_cpus(device.cpus, facts, threads=1)
        ended = transport.run([*device_tool.argv, "--help"], _TOOL_TIMEOUT_S, cpus=cpus)
        log = f"{ended.stdout}\n{ended.stderr}"
        if failure := diagnose_start(ended.exit_code, ended.stderr, stdout=ended.stdout):
            message = (
                f"device {device.id}: its tool {device_tool.tool.name} does not start "
                f"({failure.quote}): {failure.remedy}."
            )
            raise CaseFailed(failure.reason, message, log=log)
        if ended.exit_code > SIGNALLED:
            message = (
                f"device {device.id}: its tool {device_tool.tool.name} crashes as it starts "
                f"({_describe_end(ended)}): add another build of it."
            )
            raise CaseFailed(Reason.CRASHED, message, log=log)
    return device_tool.tool


def _describe_end(ended: RunResult) -> str:
    """Return the last line that a crashed program printed, or the signal that ended it."""
    lines = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    number = ended.exit_code - SIGNALLED
    name = signal.Signals(number).name if number in signal.valid_signals() else "no signal"
    return f"{name}: {lines[-1][:LONGEST_QUOTE]}" if lines else name


def clean_device(device: Device, access: DeviceAccess, limit_bytes: int) -> int:
    """Remove the least recently used files of a device, and return how many bytes that freed.

    Raises CaseFailed.
    """
    with closing(access.open_transport(device)) as transport, hold_device(device, transport):
        return sum(transport.clean(limit_bytes).values())


@contextmanager
def hold_device(device: Device, transport: Transport) -> Iterator[Turn]:
    """Hold a device's turn. Raises DeviceBusy if someone else is using the device."""
    turn = Turn(uuid4().hex, describe_owner())
    try:
        if (holder := transport.take_turn(turn)) is not None:
            raise DeviceBusy(f"device {device.id}: in use by {holder}; try again later.")
        yield turn
    finally:
        with suppress(CaseFailed):
            transport.release_turn(turn)
