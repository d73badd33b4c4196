"""The gates of a batch: what they cost a cool and idle device, and how long they wait."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Gates, SensorSummary, Tool
from harness.core.device import LocalDevice
from harness.devices import RunResult, Transport, Turn
from harness.devices.local import LocalLink
from harness.fleet.device_tool import DeviceTool, collect_facts
from harness.fleet.gates import BatchGates
from harness.fleet.process import DeviceSession
from tests.sysfs import Sysfs

GATES = Gates(max_wait_s=600, max_busy=1)  # whatever else this machine does
CALM, HOT, THROTTLED = (
    SensorSummary(temperature_c=45.0, busy=0.0, throttled=False),
    SensorSummary(70.0),
    SensorSummary(throttled=True),
)


class CountingTransport(Transport):
    """A transport that counts its scripts."""

    scripts = 0

    def run_script(self, script: str) -> RunResult:
        self.scripts += 1
        return super().run_script(script)


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    sysfs = Sysfs.make(tmp_path / "sys")
    monkeypatch.setenv("HARNESS_SYSFS", str(sysfs.root))
    return sysfs


@pytest.fixture
def transport(sysfs: Sysfs, tmp_path: Path) -> Iterator[CountingTransport]:
    transport = CountingTransport("here", LocalLink(), folder=str(tmp_path / "device"))
    yield transport
    transport.close()


def make_gates(
    transport: CountingTransport, messages: list[str], gates: Gates | None = GATES
) -> BatchGates:
    device_tool = DeviceTool(Tool(PYTHON_RUNNER, "a" * 64), ("true",))
    session = DeviceSession(
        LocalDevice(id="here"),
        transport,
        device_tool=device_tool,
        facts=collect_facts(transport),
        turn=Turn("ours", "us"),
    )
    transport.scripts = 0
    return BatchGates(session, gates, stop=Event(), report=messages.append)


def test_a_cool_and_idle_device_is_read_once(transport: CountingTransport) -> None:
    messages: list[str] = []
    gates = make_gates(transport, messages)
    gates.wait_until_settled(None)
    for _ in range(10):
        gates.wait_until_settled(CALM)
    assert (transport.scripts, gates.waited_s, gates.unmet, messages) == (1, 0.0, "", [])


def test_without_gates_the_device_is_never_read(transport: CountingTransport) -> None:
    gates = make_gates(transport, [], gates=None)
    gates.wait_until_settled(None)
    gates.wait_until_settled(HOT)
    assert transport.scripts == 0


@pytest.mark.parametrize("latest", [HOT, THROTTLED, SensorSummary(busy=1.1)])
def test_a_process_that_showed_a_stressed_device_leads_to_a_new_reading(
    transport: CountingTransport, latest: SensorSummary
) -> None:
    gates = make_gates(transport, [])
    gates.wait_until_settled(latest)
    assert (transport.scripts, gates.waited_s) == (1, 0.0), "it has settled by now"


def test_a_hot_device_is_waited_for(transport: CountingTransport, sysfs: Sysfs) -> None:
    sysfs.write(sysfs.temperature, 75_000)
    messages: list[str] = []
    gates = make_gates(transport, messages)

    def cool_down(message: str) -> None:
        messages.append(message)
        sysfs.write(sysfs.temperature, 50_000)

    gates.report = cool_down
    gates.wait_until_settled(None)
    assert messages == ["waiting until it has settled: 75 °C, over 60 °C"]
    assert gates.waited_for == "75 °C, over 60 °C"
    assert (transport.scripts, gates.unmet) == (2, "")
    assert gates.waited_s > 0


def test_the_longest_wait_is_for_the_whole_batch(
    transport: CountingTransport, sysfs: Sysfs
) -> None:
    sysfs.write(sysfs.temperature, 75_000)
    gates = make_gates(transport, [], gates=Gates(max_wait_s=0.1, max_busy=1))
    gates.wait_until_settled(None)
    waited_s = gates.waited_s
    gates.wait_until_settled(HOT)
    assert gates.waited_s == waited_s, "the device is read, and measured as it is"
    assert gates.unmet == "75 °C, over 60 °C"
