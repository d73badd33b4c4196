"""A simulated endpoint behaves like OpenSSH's sshd, and leaves nothing behind."""

import asyncio
import os
import platform
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import paramiko
import psutil
import pytest
from ruamel.yaml import YAML

from tests.simulated.clients import (
    TIMEOUT_S,
    connect,
    is_alive,
    make_ssh_argv,
    run,
    ssh,
    start,
    wait_for,
)
from tests.simulated.fleet import Endpoint, SimulatedFleet

FIVE_MB = os.urandom(5_000_000)
DETACHED = "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"
USER_REFUSED = "nobody"


def test_openssh_logs_in_and_runs_a_command(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    completed = ssh(
        fleet, endpoint, command='pwd; echo "$HOME $PATH $LC_ALL $SIMULATED_DEVICE"; echo wrong >&2'
    )
    home = fleet.folder / endpoint.name / "home"
    expected = f"{home}\n{home} /usr/local/bin:/usr/bin:/bin C.UTF-8 {endpoint.name}\n"
    assert (completed.returncode, completed.stdout.decode(), completed.stderr) == (
        0,
        expected,
        b"wrong\n",
    )


def test_the_command_leads_a_session_and_has_a_clean_environment(
    client: paramiko.SSHClient,
) -> None:
    assert run(client, 'test "$(ps -o sid= -p $$ | tr -d " ")" = $$')[0] == 0
    names = {line.split(b"=")[0] for line in run(client, "env")[1].splitlines()}
    assert names == {b"PATH", b"HOME", b"LC_ALL", b"SIMULATED_DEVICE", b"SIMULATED_FLEET", b"PWD"}


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_exit_codes(client: paramiko.SSHClient, code: int) -> None:
    assert run(client, f"exit {code}")[0] == code


@pytest.mark.parametrize(
    ("signal_name", "reported"), [("KILL", "KILL"), ("SEGV", "SEGV"), ("40", "SIG@openssh.com")]
)
def test_a_signal_that_ended_a_command_is_reported(
    fleet: SimulatedFleet, endpoint: Endpoint, signal_name: str, reported: str
) -> None:
    async def run_command() -> asyncssh.SSHCompletedProcess:
        known_hosts = asyncssh.import_known_hosts(f"[127.0.0.1]:{endpoint.port} {fleet.host_key}\n")
        async with asyncssh.connect(
            "127.0.0.1",
            endpoint.port,
            username="bench",
            client_keys=[str(fleet.client_key)],
            known_hosts=known_hosts,
            config=None,
        ) as client:
            return await client.run(f"kill -{signal_name} $$")

    completed = asyncio.run(run_command())
    assert completed.exit_signal is not None
    assert completed.exit_signal[0] == reported


def test_a_wrong_user_and_a_wrong_key_are_refused(
    fleet: SimulatedFleet, endpoint: Endpoint, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)], check=True)
    with pytest.raises(paramiko.AuthenticationException):
        connect(fleet, endpoint, user=USER_REFUSED)
    with pytest.raises(paramiko.AuthenticationException):
        connect(fleet, endpoint, key=wrong)
    for completed in (
        ssh(fleet, endpoint, command="true", user=USER_REFUSED),
        ssh(fleet, endpoint, "true", *("-i", str(wrong))),
    ):
        assert completed.returncode == 255
        assert b"Permission denied (publickey)." in completed.stderr


def test_data_passes_unchanged_in_both_directions(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    assert ssh(fleet, endpoint, command="cat > file", data=FIVE_MB).returncode == 0
    assert (endpoint.home / "file").read_bytes() == FIVE_MB
    assert ssh(fleet, endpoint, command="cat file").stdout == FIVE_MB


def test_a_client_that_does_not_read_pauses_the_command(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(client, "head -c 20000000 /dev/zero; touch done")
    wait_for(lambda: endpoint.wire.bytes_from_device > 2_000_000)
    assert run(client, "test -e done")[0] == 1
    assert endpoint.wire.bytes_from_device < 3_000_000
    assert sum(map(len, iter(lambda: channel.recv(2**16), b""))) == 20_000_000


def test_a_command_that_does_not_read_pauses_the_client(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(client, "until test -e go; do sleep 0.02; done; wc -c")
    sender = threading.Thread(target=channel.sendall, args=(FIVE_MB,))
    sender.start()
    wait_for(lambda: endpoint.wire.bytes_to_device > 2_000_000)
    run(client, "touch go")
    sender.join(TIMEOUT_S)
    channel.shutdown_write()
    assert channel.recv(99) == b"5000000\n"  # printed only after all input has arrived
    assert endpoint.wire.bytes_to_device > 5_000_000


def test_unread_input_does_not_block(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    completed = ssh(
        fleet, endpoint, command="head -c 3 | wc -c; exec <&-; echo done; exit 4", data=FIVE_MB
    )
    assert (completed.returncode, completed.stdout) == (4, b"3\ndone\n")


def test_the_exit_status_arrives_over_a_shared_connection_although_the_output_ended_first(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    shared = ("-o", f"ControlPath={endpoint.home / 'm'}")
    command = "exec >&- 2>&-; touch silent; until test -e go; do sleep 0.02; done; exit 3"
    master = subprocess.Popen([*make_ssh_argv(fleet, endpoint, *shared, "-MN")])
    try:
        wait_for((endpoint.home / "m").exists)
        with ThreadPoolExecutor(1) as pool:
            completed = pool.submit(ssh, fleet, endpoint, command, *shared)
            wait_for((endpoint.home / "silent").exists)
            (endpoint.home / "go").touch()
            assert completed.result().returncode == 3
    finally:
        master.terminate()
        master.wait(TIMEOUT_S)


def test_the_exit_status_arrives_when_the_command_ends_not_its_output(
    client: paramiko.SSHClient,
) -> None:
    channel = start(client, "(until test -e go; do sleep 0.02; done; echo late) & exit 5")
    assert channel.recv_exit_status() == 5
    assert not channel.closed
    run(client, "touch go")
    assert channel.recv(99) == b"late\n"
    wait_for(lambda: channel.closed)


def test_a_command_outlives_its_connection_but_loses_its_pipes(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    with connect(fleet, endpoint) as client:
        start(client, "cat; touch after; sleep 1000")
        wait_for(endpoint.processes)
    wait_for((endpoint.home / "after").exists)
    assert endpoint.processes()


def test_a_detached_child_lives_until_the_processes_are_stopped(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    child = int(ssh(fleet, endpoint, command=DETACHED).stdout)
    assert endpoint.processes() == {child}
    endpoint.stop_processes()
    assert endpoint.processes() == set()
    assert not is_alive(child)
    assert ssh(fleet, endpoint, command="exit 3").returncode == 3


def test_stopping_reaches_processes_without_their_session_and_environment(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(
        client, "setsid sh -c 'env -i sleep 1000 & cd /; env -i setsid sleep 1000'; sleep 1000"
    )
    wait_for(lambda: len(endpoint.processes()) >= 4)
    children = endpoint.processes()
    endpoint.stop_processes()
    assert not any(map(is_alive, children))
    assert channel.recv_exit_status() == -1
    assert run(client, "exit 3")[0] == 3


def sleeping_pids(endpoint: Endpoint) -> list[int]:
    return [pid for pid in endpoint.processes() if psutil.Process(pid).name() == "sleep"]


def test_closing_the_fleet_leaves_no_process_and_no_thread(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    threads = set(threading.enumerate())
    this_process = psutil.Process()
    files = this_process.num_fds()
    with SimulatedFleet(3, tmp_path) as fleet:
        child = int(ssh(fleet, fleet.endpoints[0], command=DETACHED).stdout)
        with connect(fleet, fleet.endpoints[1]) as client:
            start(client, "sleep 1000")
            # The shell becomes `sleep` only a moment after it starts.
            wait_for(lambda: sleeping_pids(fleet.endpoints[1]))
            (running,) = sleeping_pids(fleet.endpoints[1])
            assert endpoint.processes() == set()
    assert not is_alive(child)
    assert not is_alive(running)
    wait_for(lambda: set(threading.enumerate()) <= threads)
    assert this_process.num_fds() <= files
    with pytest.raises(RuntimeError, match="closed"):
        fleet.endpoints[0].wire.cut()


def test_a_fleet_stops_only_its_own_processes(
    fleet: SimulatedFleet, endpoint: Endpoint, tmp_path: Path
) -> None:
    child = int(ssh(fleet, endpoint, command=DETACHED).stdout)
    with SimulatedFleet(len(fleet.endpoints), tmp_path) as other:
        other[endpoint.name].stop_processes()
    assert endpoint.processes() == {child}
    endpoint.stop_processes()


@pytest.mark.parametrize("ending", ["stdin closes", "SIGTERM"])
def test_a_fleet_in_its_own_process_stops_everything(tmp_path: Path, ending: str) -> None:
    argv = [sys.executable, "-m", "tests.simulated", "--count", "3", "--folder", str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        devices = YAML(typ="safe").load(tmp_path / "devices.yaml")["devices"]
        assert [device["id"] for device in devices] == ["sim000", "sim001", "sim002"]
        last = devices[2]
        assert (last["host"], last["user"], last["abi"]) == (
            "127.0.0.1",
            "bench",
            platform.machine(),
        )
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{last['port']} {last['host_key']}\n")
        options = ["BatchMode=yes", f"UserKnownHostsFile={tmp_path / 'known_hosts'}"]
        login = [
            "ssh",
            "-F",
            "none",
            "-p",
            str(last["port"]),
            "-i",
            last["key"],
            "-o",
            options[0],
            "-o",
            options[1],
        ]
        child = int(subprocess.check_output([*login, "bench@127.0.0.1", DETACHED]))
        assert is_alive(child)
        if ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
    assert not is_alive(child)
