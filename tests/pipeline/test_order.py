"""Devices that train are found by their addresses."""

import pytest

from harness.core.device import AdbDevice, LocalDevice, SshDevice
from harness.pipeline.order import find_training_devices

THIS_MACHINE = LocalDevice(id="here")
PHONE = AdbDevice(id="phone", serial="0123456789")


def board(host: str, jump: str | None = None) -> SshDevice:
    return SshDevice(id="board", host=host, jump=jump)


@pytest.mark.parametrize(
    ("device", "trains"),
    [
        (THIS_MACHINE, True),
        (PHONE, False),
        (board("127.0.0.1"), True),
        (board("::1"), True),
        (board("192.0.2.7"), True),
        (board("192.0.2.8"), False),
        (board("192.0.2.7", jump="gate.example.org"), False),
        (board("no-such-board.invalid"), False),
    ],
)
def test_a_device_trains_if_it_is_this_machine_or_a_node_of_the_cluster(
    device: LocalDevice | AdbDevice | SshDevice, *, trains: bool
) -> None:
    training = find_training_devices([device], frozenset({"192.0.2.7"}))
    assert set(training) == ({device.id} if trains else set())
