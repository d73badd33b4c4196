"""What the gates cost a device that is cool and idle: one reading a batch."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Gates, Tool, Watched
from harness.core.device import LocalDevice
from harness.devices import RunResult, Transport, Turn
from harness.devices.local import LocalLink
from harness.fleet.device_tool import DeviceTool, collect_facts
from harness.fleet.gates import BatchGates
from harness.fleet.process import DeviceSession
from tests.sysfs import Sysfs

GATES = Gates(max_wait_s=600, max_busy=1)  # whatever else this machine does
CALM, HOT, THROTTLED = (
    Watched(temperature_c=45.0, busy=0.0, throttled=False),
    Watched(70.0),
    Watched(throttled=True),
)


class CountedTransport(Transport):
    """Counts the questions."""

    asked = 0

    def run_script(self, script: str) -> RunResult:
        self.asked += 1
        return super().run_script(script)


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    made = Sysfs.make(tmp_path / "sys")
    monkeypatch.setenv("HARNESS_SYSFS", str(made.root))
    return made


@pytest.fixture
def transport(sysfs: Sysfs, tmp_path: Path) -> Iterator[CountedTransport]:
    made = CountedTransport("here", LocalLink(), str(tmp_path / "device"))
    yield made
    made.close()


def settling(
    transport: CountedTransport, said: list[str], gates: Gates | None = GATES
) -> BatchGates:
    device_tool = DeviceTool(Tool(PYTHON_RUNNER, "a" * 64), ("true",))
    session = DeviceSession(
        LocalDevice(id="here"),
        transport,
        device_tool=device_tool,
        facts=collect_facts(transport),
        turn=Turn("ours", "us"),
    )
    transport.asked = 0
    return BatchGates(session, gates, stop=Event(), say=said.append)


def test_a_cool_and_idle_device_is_asked_once(transport: CountedTransport) -> None:
    said: list[str] = []
    gates = settling(transport, said)
    gates.settle(None)
    for _ in range(10):
        gates.settle(CALM)
    assert (transport.asked, gates.waited_s, gates.closed, said) == (1, 0.0, "", [])


def test_without_gates_nothing_is_asked(transport: CountedTransport) -> None:
    gates = settling(transport, [], gates=None)
    gates.settle(None)
    gates.settle(HOT)
    assert transport.asked == 0


@pytest.mark.parametrize("last", [HOT, THROTTLED, Watched(busy=1.1)])
def test_what_a_process_showed_is_looked_at_again(
    transport: CountedTransport, last: Watched
) -> None:
    gates = settling(transport, [])
    gates.settle(last)
    assert (transport.asked, gates.waited_s) == (1, 0.0), "it has settled by now"


def test_a_device_cools_down_while_it_is_waited_for(
    transport: CountedTransport, sysfs: Sysfs
) -> None:
    sysfs.write(sysfs.temperature, 75_000)
    said: list[str] = []
    gates = settling(transport, said)

    def hear(text: str) -> None:
        said.append(text)
        sysfs.write(sysfs.temperature, 50_000)

    gates.say = hear
    gates.settle(None)
    assert said == ["waiting until it has settled: 75 °C, over 60 °C"]
    assert gates.waited_for == "75 °C, over 60 °C"
    assert (transport.asked, gates.closed) == (2, "")
    assert gates.waited_s > 0


def test_the_longest_wait_is_for_the_whole_batch(transport: CountedTransport, sysfs: Sysfs) -> None:
    sysfs.write(sysfs.temperature, 75_000)
    gates = settling(transport, [], gates=Gates(max_wait_s=0.1, max_busy=1))
    gates.settle(None)
    waited_s = gates.waited_s
    gates.settle(HOT)
    assert gates.waited_s == waited_s, "it is looked at, and measured as it is"
    assert gates.closed == "75 °C, over 60 °C"
