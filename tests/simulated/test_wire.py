"""Each fault of the wire does what it says, at once, also to open connections."""

import socket
import time

import paramiko
import pytest

from tests.simulated.clients import WITHIN_S, connect, run, ssh, start, until
from tests.simulated.fleet import Endpoint, SimulatedFleet


def active(client: paramiko.SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and bool(transport.is_active())


def test_a_delay_holds_for_both_directions_and_ends_at_once(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    echo = start(client, "cat")
    endpoint.wire.delay_s = 0.1
    began = time.monotonic()
    echo.sendall(b"first")
    assert echo.recv(5) == b"first"
    assert time.monotonic() - began >= 0.2
    endpoint.wire.delay_s = 3600
    echo.sendall(b"second")
    endpoint.wire.delay_s = 0
    assert echo.recv(6) == b"second"


def test_a_delay_keeps_the_order_and_the_throughput(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.delay_s = 0.1
    began = time.monotonic()
    code, printed = run(client, "seq 1000000")
    assert (code, printed) == (0, "".join(f"{number}\n" for number in range(1, 1_000_001)).encode())
    assert len(printed) / 2**16 * 0.1 > 10
    assert time.monotonic() - began < 8  # a chunk of 64 kB a delay would take more than 10


def test_a_delay_holds_the_end_back_behind_the_data(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    with connect(fleet, endpoint) as client:
        echo = start(client, "cat > file")
        endpoint.wire.delay_s = 0.2
        echo.sendall(b"last words")
    until(lambda: endpoint.wire.open_connections == 0)
    until(lambda: not endpoint.processes())
    assert (endpoint.home / "file").read_bytes() == b"last words"


def test_loss_cuts_at_a_chunk(
    fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.loss = 1.0
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        run(client, "true")
    until(lambda: not active(client))
    assert ssh(fleet, endpoint, command="true").returncode == 255
    endpoint.wire.loss = 0.0
    assert ssh(fleet, endpoint, command="true").returncode == 0


def test_losses_are_rare_or_frequent_as_set(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    endpoint.wire.loss = 0.05
    codes = [ssh(fleet, endpoint, command="exit 3").returncode for _ in range(12)]
    assert set(codes) == {3, 255}


def test_cut_resets_and_the_command_goes_on(endpoint: Endpoint, client: paramiko.SSHClient) -> None:
    start(client, "sleep 1000")
    until(endpoint.processes)
    with socket.create_connection(("127.0.0.1", endpoint.port), WITHIN_S) as plain:
        assert plain.recv(99).startswith(b"SSH-")
        assert endpoint.wire.open_connections == 2
        endpoint.wire.cut()
        with pytest.raises(ConnectionResetError):
            plain.recv(2**16)
    until(lambda: not active(client))
    assert endpoint.wire.open_connections == 0
    assert endpoint.processes()


def test_cut_after_lets_that_many_bytes_pass_and_cuts_once(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    before = endpoint.wire.bytes_to_device
    endpoint.wire.cut_after(bytes_to_device=300_000)
    assert ssh(fleet, endpoint, command="cat > file", data=bytes(1_000_000)).returncode == 255
    assert endpoint.wire.bytes_to_device - before == 300_000
    until(lambda: not endpoint.processes())
    assert 0 < (endpoint.home / "file").stat().st_size < 300_000
    assert ssh(fleet, endpoint, command="cat > file", data=bytes(1_000_000)).returncode == 0
    assert (endpoint.home / "file").stat().st_size == 1_000_000


def test_refuse_resets_what_is_new_and_leaves_what_is_open(
    fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.refuse = True
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", endpoint.port), WITHIN_S) as plain,
    ):
        plain.recv(1)
    assert ssh(fleet, endpoint, command="true").returncode == 255
    assert run(client, "echo open") == (0, b"open\n")
    assert (endpoint.wire.connections, endpoint.wire.refused) == (1, 2)
    endpoint.wire.refuse = False
    assert ssh(fleet, endpoint, command="true").returncode == 0
    assert endpoint.wire.connections == 2


def test_a_frozen_wire_passes_nothing_and_closes_nothing(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    with connect(fleet, endpoint) as client:
        echo = start(client, "cat")
        file = start(client, "cat > file")
        echo.sendall(b"before")
        assert echo.recv(6) == b"before"
        endpoint.wire.freeze = True
        passed = endpoint.wire.bytes_to_device, endpoint.wire.bytes_from_device
        echo.sendall(b"after")
        file.sendall(b"after")
        echo.settimeout(0.3)
        with pytest.raises(TimeoutError):
            echo.recv(5)
        with socket.create_connection(("127.0.0.1", endpoint.port), WITHIN_S) as plain:
            plain.settimeout(0.3)
            with pytest.raises(TimeoutError):
                plain.recv(1)
    assert (endpoint.wire.bytes_to_device, endpoint.wire.bytes_from_device) == passed
    assert endpoint.processes()  # the device has not seen the client go
    endpoint.wire.freeze = False
    until(lambda: not endpoint.processes())
    assert (endpoint.home / "file").read_bytes() == b"after"
    until(lambda: endpoint.wire.open_connections == 0)


def test_counters(fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient) -> None:
    assert (endpoint.wire.connections, endpoint.wire.open_connections) == (1, 1)
    before = endpoint.wire.bytes_to_device, endpoint.wire.bytes_from_device
    assert len(run(client, "head -c 1000000 /dev/zero")[1]) == 1_000_000
    # a busy device sends many small packets, each with a header and a checksum
    assert 1_000_000 < endpoint.wire.bytes_from_device - before[1] < 1_100_000
    assert 0 < endpoint.wire.bytes_to_device - before[0] < 10_000


@pytest.mark.parametrize(("fault", "value"), [("delay_s", -1.0), ("loss", 1.5)])
def test_what_cannot_be_is_refused(endpoint: Endpoint, fault: str, value: float) -> None:
    with pytest.raises(ValueError, match=fault):
        setattr(endpoint.wire, fault, value)
