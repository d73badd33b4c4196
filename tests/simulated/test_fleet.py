"""A simulated endpoint is to its clients what OpenSSH's sshd is, and leaves nothing behind."""

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

from tests.simulated.clients import WITHIN_S, connect, lives, run, ssh, ssh_argv, start, until
from tests.simulated.fleet import Endpoint, SimulatedFleet

FIVE_MB = os.urandom(5_000_000)
DETACHED = "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"
USER_REFUSED = "nobody"


def test_openssh_logs_in_and_runs_a_command(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    ended = ssh(
        fleet, endpoint, command='pwd; echo "$HOME $PATH $LC_ALL $SIMULATED_DEVICE"; echo wrong >&2'
    )
    home = fleet.folder / endpoint.name / "home"
    expected = f"{home}\n{home} /usr/local/bin:/usr/bin:/bin C.UTF-8 {endpoint.name}\n"
    assert (ended.returncode, ended.stdout.decode(), ended.stderr) == (0, expected, b"wrong\n")


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
    ("sent", "told"), [("KILL", "KILL"), ("SEGV", "SEGV"), ("40", "SIG@openssh.com")]
)
def test_a_command_that_a_signal_ended(
    fleet: SimulatedFleet, endpoint: Endpoint, sent: str, told: str
) -> None:
    async def ended() -> asyncssh.SSHCompletedProcess:
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{endpoint.port} {fleet.host_key}\n")
        async with asyncssh.connect(
            "127.0.0.1",
            endpoint.port,
            username="bench",
            client_keys=[str(fleet.client_key)],
            known_hosts=known,
            config=None,
        ) as client:
            return await client.run(f"kill -{sent} $$")

    completed = asyncio.run(ended())
    assert completed.exit_signal is not None
    assert completed.exit_signal[0] == told


def test_a_wrong_user_and_a_wrong_key_are_refused(
    fleet: SimulatedFleet, endpoint: Endpoint, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)], check=True)
    with pytest.raises(paramiko.AuthenticationException):
        connect(fleet, endpoint, user=USER_REFUSED)
    with pytest.raises(paramiko.AuthenticationException):
        connect(fleet, endpoint, key=wrong)
    for ended in (
        ssh(fleet, endpoint, command="true", user=USER_REFUSED),
        ssh(fleet, endpoint, "true", "-i", str(wrong)),
    ):
        assert ended.returncode == 255
        assert b"Permission denied (publickey)." in ended.stderr


def test_bytes_pass_whole_in_both_directions(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    assert ssh(fleet, endpoint, command="cat > file", data=FIVE_MB).returncode == 0
    assert (endpoint.home / "file").read_bytes() == FIVE_MB
    assert ssh(fleet, endpoint, command="cat file").stdout == FIVE_MB


def test_a_client_that_does_not_read_holds_the_command_up(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(client, "head -c 20000000 /dev/zero; touch done")
    until(lambda: endpoint.wire.bytes_from_device > 2_000_000)
    assert run(client, "test -e done")[0] == 1
    assert endpoint.wire.bytes_from_device < 3_000_000
    assert sum(map(len, iter(lambda: channel.recv(2**16), b""))) == 20_000_000


def test_a_command_that_does_not_read_holds_the_client_up(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(client, "until test -e go; do sleep 0.02; done; wc -c")
    sender = threading.Thread(target=channel.sendall, args=(FIVE_MB,))
    sender.start()
    until(lambda: endpoint.wire.bytes_to_device > 2_000_000)
    run(client, "touch go")
    sender.join(WITHIN_S)
    channel.shutdown_write()
    assert channel.recv(99) == b"5000000\n"  # answered only once all of it is through
    assert endpoint.wire.bytes_to_device > 5_000_000


def test_input_that_nobody_reads_stops_nothing(fleet: SimulatedFleet, endpoint: Endpoint) -> None:
    ended = ssh(
        fleet, endpoint, command="head -c 3 | wc -c; exec <&-; echo done; exit 4", data=FIVE_MB
    )
    assert (ended.returncode, ended.stdout) == (4, b"3\ndone\n")


def test_the_exit_status_arrives_over_a_shared_connection_although_the_output_ended_first(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    shared = ("-o", f"ControlPath={endpoint.home / 'm'}")
    command = "exec >&- 2>&-; touch silent; until test -e go; do sleep 0.02; done; exit 3"
    master = subprocess.Popen([*ssh_argv(fleet, endpoint, *shared, "-MN")])
    try:
        until((endpoint.home / "m").exists)
        with ThreadPoolExecutor(1) as pool:
            completed = pool.submit(ssh, fleet, endpoint, command, *shared)
            until((endpoint.home / "silent").exists)
            (endpoint.home / "go").touch()
            assert completed.result().returncode == 3
    finally:
        master.terminate()
        master.wait(WITHIN_S)


def test_the_exit_status_comes_with_the_end_of_the_command_and_not_of_the_output(
    client: paramiko.SSHClient,
) -> None:
    channel = start(client, "(until test -e go; do sleep 0.02; done; echo late) & exit 5")
    assert channel.recv_exit_status() == 5
    assert not channel.closed
    run(client, "touch go")
    assert channel.recv(99) == b"late\n"
    until(lambda: channel.closed)


def test_a_command_outlives_its_connection_and_loses_its_pipes(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    with connect(fleet, endpoint) as client:
        start(client, "cat; touch after; sleep 1000")
        until(endpoint.processes)
    until((endpoint.home / "after").exists)
    assert endpoint.processes()


def test_a_detached_child_lives_until_the_processes_are_stopped(
    fleet: SimulatedFleet, endpoint: Endpoint
) -> None:
    child = int(ssh(fleet, endpoint, command=DETACHED).stdout)
    assert endpoint.processes() == {child}
    endpoint.stop_processes()
    assert endpoint.processes() == set()
    assert not lives(child)
    assert ssh(fleet, endpoint, command="exit 3").returncode == 3


def test_stopping_the_processes_reaches_what_left_its_session_and_environment(
    endpoint: Endpoint, client: paramiko.SSHClient
) -> None:
    channel = start(
        client, "setsid sh -c 'env -i sleep 1000 & cd /; env -i setsid sleep 1000'; sleep 1000"
    )
    until(lambda: len(endpoint.processes()) >= 4)
    children = endpoint.processes()
    endpoint.stop_processes()
    assert not any(map(lives, children))
    assert channel.recv_exit_status() == -1
    assert run(client, "exit 3")[0] == 3


def asleep(endpoint: Endpoint) -> list[int]:
    return [pid for pid in endpoint.processes() if psutil.Process(pid).name() == "sleep"]


def test_closing_the_fleet_leaves_no_process_and_no_thread(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    threads = set(threading.enumerate())
    own = psutil.Process()
    files = own.num_fds()
    with SimulatedFleet(3, tmp_path) as fleet:
        child = int(ssh(fleet, fleet.endpoints[0], command=DETACHED).stdout)
        with connect(fleet, fleet.endpoints[1]) as client:
            start(client, "sleep 1000")
            until(
                lambda: asleep(fleet.endpoints[1])
            )  # before, it is still the shell that becomes it
            (running,) = asleep(fleet.endpoints[1])
            assert endpoint.processes() == set()
    assert not lives(child)
    assert not lives(running)
    until(lambda: set(threading.enumerate()) <= threads)
    assert own.num_fds() <= files
    with pytest.raises(RuntimeError, match="closed"):
        fleet.endpoints[0].wire.cut()


def test_fleets_side_by_side_stop_only_their_own(
    fleet: SimulatedFleet, endpoint: Endpoint, tmp_path: Path
) -> None:
    child = int(ssh(fleet, endpoint, command=DETACHED).stdout)
    with SimulatedFleet(len(fleet.endpoints), tmp_path) as other:
        other[endpoint.name].stop_processes()
    assert endpoint.processes() == {child}
    endpoint.stop_processes()


@pytest.mark.parametrize("way", ["stdin closes", "SIGTERM"])
def test_as_a_process_of_its_own(tmp_path: Path, way: str) -> None:
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
        (tmp_path / "known").write_text(f"[127.0.0.1]:{last['port']} {last['host_key']}\n")
        options = ["BatchMode=yes", f"UserKnownHostsFile={tmp_path / 'known'}"]
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
        assert lives(child)
        if way == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(WITHIN_S) == 0
    assert not lives(child)
