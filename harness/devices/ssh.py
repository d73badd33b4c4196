"""Boards over SSH: commands on a connection."""

import select
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from fabric import Connection
from paramiko import Channel, SSHException

from harness.core.device import SshDevice
from harness.core.errors import Unreachable, first_line
from harness.devices.link import CommandResult, check_answer_size
from harness.devices.shell import is_answered
from harness.devices.ssh_connection import SILENCE_MS, open_route, plan_route

_CHUNK_BYTES = 1 << 15
_LATE_OUTPUT_S = 2.0  # of silence after the exit code end a command that gives no answer
_TAIL_BYTES = 1 << 20  # of output, in which an answer's end is searched for.
# Connecting costs some 50 ms of CPU on both sides: hundreds at once would exceed their limits.
_CONNECTING = BoundedSemaphore(16)


class _Resources(ExitStack):
    """Resources that another thread may close while more are opened: these close at once."""

    _is_closed = False

    def callback(self, *arguments: Any, **options: Any) -> Any:
        function = super().callback(*arguments, **options)
        if self._is_closed:
            self.close()
        return function

    def close(self) -> None:
        self._is_closed = True
        super().close()


class SshLink:
    """A link over SSH, through the hosts before the last of `hops`."""

    def __init__(self, hops: Sequence[SshDevice]) -> None:
        self._hops = hops
        self._connection: Connection | None = None
        self._resources = ExitStack()

    def open(self) -> None:
        """Connect unless connected. Raises Unreachable."""
        if self._connection is not None and self._connection.is_connected:
            return
        self.close()
        with _Resources() as resources, _CONNECTING:
            self._resources = resources  # `close` from another thread ends the attempt
            self._connection = open_route(plan_route(self._hops), resources)
            self._resources = resources.pop_all()

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a command line, as `Link.execute`."""
        self.open()
        connection = self._connection
        if connection is None:
            raise Unreachable("the connection was closed")
        try:
            return _execute(connection, command, deadline=time.monotonic() + timeout_s, stdin=stdin)
        except (SSHException, OSError, EOFError) as error:
            self.close()
            raise Unreachable(f"the connection was lost ({first_line(error)})") from error
        except Unreachable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and those to its jump hosts."""
        resources, self._resources, self._connection = self._resources, ExitStack(), None
        with suppress(Exception):  # closing a broken connection may fail
            resources.close()


def _execute(
    connection: Connection, command: str, deadline: float, stdin: Path | None
) -> CommandResult:
    with connection.create_session() as channel:
        channel.settimeout(SILENCE_MS / 1000)
        channel.exec_command(command)
        if stdin is not None:
            _send(channel, stdin)
        channel.shutdown_write()
        stdout, stderr = _read(channel, deadline)
        code = channel.exit_status  # -1 until the host reports it
        if code == -1 and not _ends_answer(stdout, stderr):
            raise Unreachable("the connection was lost during a command")
        return CommandResult(max(code, 0), stdout, stderr=stderr)


def _send(channel: Channel, source: Path) -> None:
    """Send a file; stop if the command ends before it reads all: its exit code tells why."""
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            try:
                channel.sendall(chunk)
            except TimeoutError:
                raise
            except OSError:
                return


def _read(channel: Channel, deadline: float) -> tuple[bytes, bytes]:
    """Read both streams as they come, so that a command never waits for one to be read.

    Its answer ends a command. What a start-up file left behind may keep the streams open for ever,
    or keep the login shell from ending.
    """
    stdout, stderr = bytearray(), bytearray()
    ready = select.poll()
    ready.register(channel.fileno(), select.POLLIN)
    while not (channel.eof_received or channel.closed):
        if (remaining_s := deadline - time.monotonic()) <= 0:
            raise Unreachable("it did not answer in time")
        has_ended = channel.exit_status_ready()
        is_silent = not ready.poll(min(remaining_s, _LATE_OUTPUT_S) * 1000)
        _drain(channel, stdout, stderr=stderr)
        if (has_ended and is_silent) or _ends_answer(stdout, stderr):
            return bytes(stdout), bytes(stderr)
    channel.status_event.wait(_LATE_OUTPUT_S)
    _drain(channel, stdout, stderr=stderr)
    return bytes(stdout), bytes(stderr)


def _ends_answer(stdout: bytes | bytearray, stderr: bytes | bytearray) -> bool:
    return is_answered(bytes(stdout[-_TAIL_BYTES:]), bytes(stderr[-_TAIL_BYTES:]))


def _drain(channel: Channel, stdout: bytearray, stderr: bytearray) -> None:
    while (has_output := channel.recv_ready()) or channel.recv_stderr_ready():
        if has_output:
            stdout += channel.recv(1 << 20)
        else:
            stderr += channel.recv_stderr(1 << 20)
        check_answer_size(len(stdout) + len(stderr))
