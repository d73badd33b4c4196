"""Lanes that have waited for artifacts, on devices behind a link."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.config.device_file import read_devices
from harness.core.bench import Gates
from harness.core.device import Device, SshDevice
from harness.fleet.events import DeviceSetAside, RunEnded
from tests.fleet.shelf import (
    MODELS,
    PLAIN,
    Shelf,
    make_request,
    receive_all,
    receive_until_idle,
)
from tests.simulated.fleet import SimulatedFleet
from tests.sshd import Sshd

START_S = 1.0  # from an artifact to its first process, on an idle device
GATED = replace(PLAIN, canary=True, gates=Gates(max_wait_s=0, max_busy=1))


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    sshd = Sshd.start(tmp_path)
    yield sshd
    sshd.stop()


@pytest.fixture
def own_shelf(shelf: Shelf, tmp_path: Path) -> Shelf:
    return shelf.copy(tmp_path / "copy")


def make_board(sshd: Sshd, folder: Path, patience_s: float = 60.0) -> SshDevice:
    return sshd.device("board", folder=str(folder / "on board"), tool="tool", patience_s=patience_s)


def test_a_connection_that_is_lost_while_a_lane_waits_is_opened_again(
    own_shelf: Shelf, sshd: Sshd, tmp_path: Path
) -> None:
    board = make_board(sshd, tmp_path)
    events = []
    with own_shelf.open(make_request(["board"], PLAIN), [board]) as bench:
        for artifact in own_shelf.artifacts:
            bench.add([artifact])
            events += receive_until_idle(bench)
            sshd.cut()
        events += receive_all(bench)
    assert not [event for event in events if isinstance(event, DeviceSetAside)]
    assert own_shelf.count_measured() == {"board": len(MODELS)}


def test_a_board_that_is_switched_off_while_its_lane_waits_keeps_its_queue(
    own_shelf: Shelf, sshd: Sshd, tmp_path: Path
) -> None:
    first, second = own_shelf.artifacts
    board = make_board(sshd, tmp_path, patience_s=0.0)
    devices: list[Device] = [board, *own_shelf.make_devices(["here"])]
    request = make_request(["board", "here"], PLAIN)
    with own_shelf.open(request, devices) as bench:
        receive_until_idle(bench)
        sshd.stop()
        bench.add([first])
        events = receive_until_idle(bench)
        bench.add([second])
        events += receive_all(bench)
    (set_aside,) = [event for event in events if isinstance(event, DeviceSetAside)]
    assert (set_aside.device.id, set_aside.failure.reason) == ("board", "unreachable")
    assert own_shelf.count_measured() == {"here": len(MODELS)}
    queued = own_shelf.rows("SELECT device, artifact FROM queue ORDER BY asked_at")
    assert [(row["device"], row["artifact"]) for row in queued] == [
        ("board", first),
        ("board", second),
    ]


@pytest.mark.full
def test_an_artifact_starts_at_once_on_an_idle_device(own_shelf: Shelf, tmp_path: Path) -> None:
    with SimulatedFleet(1, tmp_path / "simulated") as fleet:
        fleet.write_devices(tmp_path / "devices.yaml", tool="tool")
        devices = read_devices(tmp_path / "devices.yaml")
        with own_shelf.open(make_request([devices[0].id], GATED), devices) as bench:
            times = []
            for artifact in own_shelf.artifacts:
                receive_until_idle(bench)
                started = time.monotonic()
                bench.add([artifact])
                while not isinstance(bench.receive(timeout_s=1.0), RunEnded):
                    pass
                times.append(time.monotonic() - started)
    assert min(times) < START_S
