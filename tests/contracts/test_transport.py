"""The contract over this machine's own shell, over a real sshd, and over an endpoint of the simulated fleet."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.device import Device, LocalDevice
from harness.devices import Transport, open_transport
from harness.spec.device_file import read_devices
from tests.contracts.suite import *  # noqa: F403
from tests.simulated.fleet import SimulatedFleet
from tests.sshd import Sshd


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with SimulatedFleet(1, tmp_path_factory.mktemp("simulated")) as fleet:
        fleet.write_devices(fleet.folder / "devices.yaml")
        yield read_devices(fleet.folder / "devices.yaml")[0]


@pytest.fixture(params=["local", "ssh", "simulated"])
def transport(request: pytest.FixtureRequest, sshd: Sshd, simulated: Device, tmp_path: Path) -> Iterator[Transport]:
    boards: dict[str, Device] = {
        "local": LocalDevice(id="here"),
        "ssh": sshd.device(folder=str(tmp_path / "over ssh; 'quoted'")),
        "simulated": replace(simulated, folder=str(tmp_path / "simulated; 'quoted'")),
    }
    transport = open_transport(boards[request.param], {}, tmp_path / "device")
    yield transport
    transport.close()
