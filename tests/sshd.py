"""A real sshd on the loopback interface: it needs no root and reads no settings of this machine."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.device import SshDevice
from tests.waiting import wait_until

_CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 200
MaxSessions 200
"""


@dataclass
class Sshd:
    """A running sshd. `key` logs in; `host_key` is the public key that it shows."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, settings: str = "") -> "Sshd":
        """Start sshd with more lines of sshd_config, in which `{folder}` is its folder."""
        for name in ("host_key", "client_key"):
            if not (folder / name).exists():
                make_key(folder / name)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for port in (find_free_port() for _ in range(5)):  # another program may take it first
            if (process := _start_sshd(folder, port, settings=settings)) is not None:
                return cls(folder, port, process)
        raise AssertionError((folder / "sshd.log").read_text())

    @property
    def key(self) -> Path:
        return self.folder / "client_key"

    @property
    def host_key_file(self) -> Path:
        return self.folder / "host_key"

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def device(self, id: str = "board", **settings: object) -> SshDevice:
        return SshDevice(
            **{  # type: ignore[arg-type]
                "id": id,
                "host": "127.0.0.1",
                "port": self.port,
                "user": pwd.getpwuid(os.geteuid()).pw_name,
                "key": str(self.key),
                "host_key": self.host_key,
                **settings,
            }
        )

    def stop(self) -> None:
        self.cut()
        self.process.terminate()
        self.process.wait(10)

    def cut(self) -> None:
        """End every connection at once; the commands in them keep running."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _start_sshd(folder: Path, port: int, settings: str) -> "subprocess.Popen[bytes] | None":
    """Return sshd once it listens, or None if it can't."""
    (folder / "sshd_config").write_text(
        (settings + _CONFIGURATION).format(folder=folder, port=port)
    )
    command = [find_sshd(), "-D", "-e", "-f", str(folder / "sshd_config")]
    log = folder / "sshd.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
    wait_until(
        lambda: process.poll() is not None or b"listening on" in log.read_bytes(), "sshd listens"
    )
    return process if process.poll() is None else None


def find_sshd() -> str:
    """Return the path of sshd. Skip the test, or fail it in CI, if it is not installed."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        missing = "sshd is not installed (Debian and Ubuntu: apt install openssh-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return program


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True)


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
