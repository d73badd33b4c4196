"""The contract over this machine's own shell, and over a real sshd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.device import Device, LocalDevice
from harness.devices import Transport, open_transport
from tests.contracts.suite import *  # noqa: F403
from tests.sshd import Sshd


@pytest.fixture(params=["local", "ssh"])
def transport(request: pytest.FixtureRequest, sshd: Sshd, tmp_path: Path) -> Iterator[Transport]:
    boards: dict[str, Device] = {
        "local": LocalDevice(id="here"),
        "ssh": sshd.device(folder=str(tmp_path / "over ssh; 'quoted'")),
    }
    transport = open_transport(boards[request.param], {}, tmp_path / "device")
    yield transport
    transport.close()
