"""Nodes of a Ray cluster on this machine, each with a working and a temporary folder of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.waiting import wait_until

# Ray needs a token by default; to join a cluster, a process must set its token and the mode.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "for-this-test-" + 18 * "0"}
RAY = Path(sys.executable).with_name("ray")
# Without the processes of Ray that no test needs
HEAD = ("--head", "--port=0", "--include-dashboard=false", "--no-monitor")
_OPTIONS = ("--dashboard-agent-listen-port=0", "--include-log-monitor=false", "--num-cpus=1")
_LOG = "ray.log"
_UP = "Ray runtime started"
_TRIES = 3


@dataclass(frozen=True)
class Node:
    """A node that runs: Ray and the workers keep their temporary files in `folder`."""

    folder: Path
    process: psutil.Popen

    def kill(self) -> None:
        """Kill every process of the node at once, as if its machine lost power."""
        family = [self.process]
        with suppress(psutil.NoSuchProcess):
            family = [*self.process.children(recursive=True), self.process]
        for member in family:
            with suppress(psutil.NoSuchProcess):  # it may end with its parent
                member.kill()
        psutil.wait_procs(family, timeout=60)


@contextmanager
def run_node(
    place: Path, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[Node]:
    """Start a node in the new working folder `place`, without data, until the context ends.

    Its folder of temporary files is its own, too.
    """
    place.mkdir()
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # The path of pytest's own folder is too long for Ray's sockets
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        environment = {
            **inherited,
            "RAY_USAGE_STATS_ENABLED": "0",
            "HARNESS_DATA": str(place),
            "TMPDIR": folder,
            **TOKEN,
            **(settings or {}),
        }
        command = [str(RAY), "start", "--block", *_OPTIONS, *options, f"--temp-dir={folder}"]
        node = Node(Path(folder), _start(command, environment, place=place))
        try:
            yield node
        finally:
            node.kill()


def _start(command: list[str], environment: Mapping[str, str], place: Path) -> psutil.Popen:
    """Return the node's process once it is up; Ray itself gives up after 30 s on a busy machine."""
    log = place / _LOG
    for _ in range(_TRIES):
        with log.open("w") as output:
            process = psutil.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=place
            )
        wait_until(
            lambda: _UP in log.read_text() or process.poll() is not None,  # noqa: B023
            "a node",
            patience_s=120,
        )
        if _UP in log.read_text():
            return process
    raise AssertionError(f"no node in {_TRIES} tries: {log.read_text()}")


def head_address(place: Path) -> str:
    """Return the address of the head node in `place`."""
    return str(re.findall(r"--address='([\d.]+:\d+)'", (place / _LOG).read_text())[0])
