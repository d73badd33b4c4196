"""Clients of a simulated endpoint: the `ssh` command and paramiko, which both check host keys."""

import subprocess
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import paramiko
import psutil

from tests.simulated.fleet import Endpoint, SimulatedFleet
from tests.simulated.server import USER

TIMEOUT_S = 30.0


def wait_for(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not true within {timeout_s:g} s"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; an unreaped zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def make_ssh_argv(
    fleet: SimulatedFleet, endpoint: Endpoint, *options: str, user: str = USER
) -> list[str]:
    """Return the ssh command up to the remote command; it ignores the user's configuration."""
    known_hosts = fleet.folder / f"known_hosts.{endpoint.name}"
    known_hosts.write_text(f"[127.0.0.1]:{endpoint.port} {fleet.host_key}\n")
    settings = (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts}",
        "IdentitiesOnly=yes",
    )
    argv = ["ssh", "-F", "none", "-p", str(endpoint.port), *options]
    if "-i" not in options:
        argv += ["-i", str(fleet.client_key)]
    for setting in settings:
        argv += ["-o", setting]
    return [*argv, f"{user}@127.0.0.1"]


def ssh(
    fleet: SimulatedFleet,
    endpoint: Endpoint,
    command: str,
    *options: str,
    data: bytes = b"",
    user: str = USER,
) -> "subprocess.CompletedProcess[bytes]":
    argv = [*make_ssh_argv(fleet, endpoint, *options, user=user), command]
    return subprocess.run(argv, input=data, capture_output=True, check=False, timeout=2 * TIMEOUT_S)


def connect(
    fleet: SimulatedFleet, endpoint: Endpoint, *, user: str = USER, key: Path | None = None
) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    kind, data = fleet.host_key.split()
    host_key = paramiko.PKey.from_type_string(kind, b64decode(data))
    client.get_host_keys().add(f"[127.0.0.1]:{endpoint.port}", kind, host_key)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    key_file = str(key or fleet.client_key)
    try:
        client.connect(
            "127.0.0.1",
            endpoint.port,
            user,
            key_filename=key_file,
            allow_agent=False,
            look_for_keys=False,
        )
    except BaseException:
        client.close()  # paramiko leaves the connection open if the login fails
        raise
    return client


def run(client: paramiko.SSHClient, command: str) -> tuple[int, bytes]:
    """Run a command, and return its exit status and standard output."""
    channel = start(client, command)
    channel.shutdown_write()
    stdout = b"".join(iter(lambda: channel.recv(2**16), b""))
    return channel.recv_exit_status(), stdout


def start(client: paramiko.SSHClient, command: str) -> paramiko.Channel:
    transport = client.get_transport()
    assert transport is not None
    channel = transport.open_session(timeout=TIMEOUT_S)
    channel.settimeout(TIMEOUT_S)
    channel.exec_command(command)
    return channel
