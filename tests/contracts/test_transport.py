"""The transport contract over this machine's shell, a real sshd and a simulated endpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from harness.config.device_file import read_devices
from harness.core.device import Device, LocalDevice
from harness.devices import Patience, Transport, open_transport
from tests.contracts.suite import *  # noqa: F403
from tests.contracts.watching import *  # noqa: F403
from tests.simulated.fleet import SimulatedFleet
from tests.sshd import Sshd
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with SimulatedFleet(1, tmp_path_factory.mktemp("simulated")) as fleet:
        fleet.write_devices(fleet.folder / "devices.yaml")
        yield read_devices(fleet.folder / "devices.yaml")[0]


@pytest.fixture(params=["local", "ssh", pytest.param("simulated", marks=pytest.mark.full)])
def transport(
    request: pytest.FixtureRequest, sshd: Sshd, simulated: Device, tmp_path: Path
) -> Iterator[Transport]:
    boards: dict[str, Device] = {
        "local": LocalDevice(id="here"),
        "ssh": sshd.device(folder=str(tmp_path / "over ssh; 'quoted'")),
        "simulated": replace(simulated, folder=str(tmp_path / "simulated; 'quoted'")),
    }
    transport = open_transport(boards[request.param], {}, local_folder=tmp_path / "device")
    yield transport
    transport.close()


def test_a_run_is_watched_while_its_link_is_lost(sshd: Sshd, tmp_path: Path) -> None:
    board = sshd.device(folder=str(tmp_path / "board"))
    transport = open_transport(board, {}, local_folder=tmp_path, patience=Patience(60))
    started_mark, cut_mark = tmp_path / "started", tmp_path / "cut"

    def cut_once_it_runs() -> None:
        wait_until(started_mark.exists, "the run starts")
        sshd.cut()
        cut_mark.touch()

    thread = Thread(target=cut_once_it_runs)
    thread.start()
    watched = WAIT_FOR_LOOKS.replace("$1", "$3")  # noqa: F405
    tool = f': >"$1"; until [ -e "$2" ]; do sleep 0.1; done; {watched}'
    arguments = ("sh", str(started_mark), str(cut_mark), "4")
    argv = ["sh", "-c", tool, *arguments]
    result = transport.run(argv, PATIENCE_S, watch=["/proc/loadavg"], interval_s=0.1)  # noqa: F405
    thread.join()
    transport.close()
    assert len([line for line in result.watch.splitlines() if line.startswith("at ")]) >= 5
