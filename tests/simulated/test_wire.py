"""Each fault of the wire takes effect at once, also on open connections."""

import socket
import time

import paramiko
import pytest

from tests.simulated.clients import TIMEOUT_S, connect, run, ssh, start, wait_for
from tests.simulated.fleet import Endpoint, SimulatedFleet


def is_active(client: paramiko.SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and bool(transport.is_active())


def test_a_delay_affects_both_directions_and_ends_at_once(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    echo = start(client, "cat")
    endpoint.wire.delay_s = 0.1
    started = time.monotonic()
    echo.sendall(b"first")
    assert echo.recv(5) == b"first"
    assert time.monotonic() - started >= 0.2
    endpoint.wire.delay_s = 3600
    echo.sendall(b"second")
    endpoint.wire.delay_s = 0
    assert echo.recv(6) == b"second"


def test_a_delay_keeps_the_order_and_the_throughput(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.delay_s = 0.1
    started = time.monotonic()
    code, output = run(client, "seq 1000000")
    assert (code, output) == (0, "".join(f"{number}\n" for number in range(1, 1_000_001)).encode())
    assert len(output) / 2**16 * 0.1 > 10
    assert time.monotonic() - started < 8  # one chunk of 64 kB for each delay would take over 10 s


def test_a_delayed_end_arrives_after_the_data(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    with connect(fleet, endpoint) as client:
        echo = start(client, "cat > file")
        endpoint.wire.delay_s = 0.2
        echo.sendall(b"last words")
    wait_for(lambda: endpoint.wire.open_connections == 0)
    wait_for(lambda: not endpoint.processes())
    assert (endpoint.home / "file").read_bytes() == b"last words"


def test_loss_cuts_the_connection_at_a_chunk(
    fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.loss = 1.0
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        run(client, "true")
    wait_for(lambda: not is_active(client))
    assert ssh(fleet, endpoint, command="true").returncode == 255
    endpoint.wire.loss = 0.0
    assert ssh(fleet, endpoint, command="true").returncode == 0


def test_losses_are_as_frequent_as_set(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    endpoint.wire.loss = 0.05
    codes = [ssh(fleet, endpoint, command="exit 3").returncode for _ in range(12)]
    assert set(codes) == {3, 255}


def test_a_cut_resets_connections_and_the_command_keeps_running(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    start(client, "sleep 1000")
    wait_for(endpoint.processes)
    with socket.create_connection(("127.0.0.1", endpoint.port), TIMEOUT_S) as plain:
        assert plain.recv(99).startswith(b"SSH-")
        assert endpoint.wire.open_connections == 2
        endpoint.wire.cut()
        with pytest.raises(ConnectionResetError):
            plain.recv(2**16)
    wait_for(lambda: not is_active(client))
    assert endpoint.wire.open_connections == 0
    assert endpoint.processes()


def test_cut_after_cuts_once_after_that_many_bytes(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    before = endpoint.wire.bytes_to_device
    endpoint.wire.cut_after(bytes_to_device=300_000)
    assert ssh(fleet, endpoint, command="cat > file", data=bytes(1_000_000)).returncode == 255
    assert endpoint.wire.bytes_to_device - before == 300_000
    wait_for(lambda: not endpoint.processes())
    assert 0 < (endpoint.home / "file").stat().st_size < 300_000
    assert ssh(fleet, endpoint, command="cat > file", data=bytes(1_000_000)).returncode == 0
    assert (endpoint.home / "file").stat().st_size == 1_000_000


def test_refuse_resets_new_connections_and_leaves_open_ones(
    fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    endpoint.wire.refuse = True
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", endpoint.port), TIMEOUT_S) as plain,
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
        with socket.create_connection(("127.0.0.1", endpoint.port), TIMEOUT_S) as plain:
            plain.settimeout(0.3)
            with pytest.raises(TimeoutError):
                plain.recv(1)
    assert (endpoint.wire.bytes_to_device, endpoint.wire.bytes_from_device) == passed
    assert endpoint.processes()  # the device has not noticed that the client left
    endpoint.wire.freeze = False
    wait_for(lambda: not endpoint.processes())
    assert (endpoint.home / "file").read_bytes() == b"after"
    wait_for(lambda: endpoint.wire.open_connections == 0)


def test_bytes_and_connections_are_counted(
    fleet: SimulatedFleet, endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    assert (endpoint.wire.connections, endpoint.wire.open_connections) == (1, 1)
    before = endpoint.wire.bytes_to_device, endpoint.wire.bytes_from_device
    assert len(run(client, "head -c 1000000 /dev/zero")[1]) == 1_000_000
    # A busy device sends many small packets, each with a header and a checksum
    assert 1_000_000 < endpoint.wire.bytes_from_device - before[1] < 1_100_000
    assert 0 < endpoint.wire.bytes_to_device - before[0] < 10_000


@pytest.mark.parametrize(("fault", "value"), [("delay_s", -1.0), ("loss", 1.5)])
def test_an_invalid_fault_is_rejected(endpoint: Endpoint, fault: str, value: float) -> None:
    with pytest.raises(ValueError, match=fault):
        setattr(endpoint.wire, fault, value)
