"""The commands of one endpoint, started and reported as OpenSSH's sshd does without a terminal."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR
from asyncssh.packet import Boolean, String, UInt32

from tests.simulated.pipes import Input, Output

# RFC 4254 names only these; sshd calls all others "SIG@openssh.com".
_NAMED_SIGNALS = (
    "ABRT",
    "ALRM",
    "FPE",
    "HUP",
    "ILL",
    "INT",
    "KILL",
    "PIPE",
    "QUIT",
    "SEGV",
    "TERM",
    "USR1",
    "USR2",
)
_SIGNALS: dict[int, str] = {getattr(signal, f"SIG{name}"): name for name in _NAMED_SIGNALS}


class Commands:
    """The running commands. Like sshd, it does not end them when a connection is lost."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.running: set[int] = set()
        self.accepting = True
        self.started = 0
        self._home = home
        self._environment = environment
        self._loop = asyncio.get_running_loop()

    def start(self, command: str, on_end: Callable[[int], None]) -> "subprocess.Popen[bytes]":
        """Start a command; the loop calls `on_end` with its wait status."""
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.started += 1
        self.running.add(child.pid)
        # asyncio's own watcher would start a thread for each child.
        handle = os.pidfd_open(child.pid)
        self._loop.add_reader(handle, self._reap, child, handle, on_end)
        return child

    def _reap(
        self, child: "subprocess.Popen[bytes]", handle: int, on_end: Callable[[int], None]
    ) -> None:
        self._loop.remove_reader(handle)
        os.close(handle)
        # child.wait() would lose whether there was a core dump.
        _, status = os.waitpid(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.running.discard(child.pid)
        on_end(status)


class CommandSession(asyncssh.SSHServerSession[bytes]):
    """One exec request.

    The drain() of asyncssh's own redirection never returns once the connection is lost. It also
    sends the exit status after the last output; sshd sends it when the command ends.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._outputs: list[Output] = []
        self._input: Input | None = None
        self._client_is_done = False

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        if not self._commands.accepting:
            return False
        try:
            self._child = self._commands.start(command, self._report_end)
        except (OSError, ValueError):
            return False
        return True

    def session_started(self) -> None:
        assert self._child is not None
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self._input = Input(child.stdin, self._set_paused)
        self._outputs = [
            Output(child.stdout, lambda data: self._send(data, None), on_end=self._finish),
            Output(
                child.stderr,
                lambda data: self._send(data, EXTENDED_DATA_STDERR),
                on_end=self._finish,
            ),
        ]
        self.resume_writing()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._input is not None:
            self._input.write(data)

    def eof_received(self) -> bool:
        self._client_is_done = True
        if self._input is not None:
            self._input.end()
        return True  # output may still come

    def signal_received(self, signal: str) -> None:
        number = next((number for number, name in _SIGNALS.items() if name == signal), None)
        if (
            number is not None
            and self._child is not None
            and self._child.pid in self._commands.running
        ):
            os.killpg(self._child.pid, number)

    def pause_writing(self) -> None:
        for output in self._outputs:
            output.pause()

    def resume_writing(self) -> None:
        for output in self._outputs:
            output.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the pipes of the command, which keeps running."""
        self._channel = None
        if self._input is not None:
            self._input.close()
        for output in self._outputs:
            output.close()

    def _set_paused(self, *, paused: bool) -> None:
        if self._channel is not None:
            if paused:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    def _send(self, data: bytes, datatype: int | None) -> None:
        if self._channel is not None:
            with suppress(OSError):  # the client has closed the channel
                self._channel.write(data, datatype)

    def _report_end(self, status: int) -> None:
        if self._input is not None:
            self._input.close()
        if self._channel is not None:
            self._send_status(self._channel, status)
        self._finish()

    @staticmethod
    def _send_status(channel: "asyncssh.SSHServerChannel[bytes]", status: int) -> None:
        """Send the exit status at once, as sshd does; output may still be on its way."""
        if not os.WIFSIGNALED(status):
            channel._send_request(b"exit-status", UInt32(os.WEXITSTATUS(status)))
            return
        name = _SIGNALS.get(os.WTERMSIG(status), "SIG@openssh.com")
        channel._send_request(
            b"exit-signal", String(name), Boolean(os.WCOREDUMP(status)), String(""), String("")
        )

    def _finish(self) -> None:
        """End the channel once no more output can come and the command has ended.

        A client that has sent its own EOF closes the channel when it gets ours. An exit status that
        comes later would be lost, so this EOF then waits for the command.
        """
        if self._channel is None or any(output.open for output in self._outputs):
            return
        has_ended = self._child is not None and self._child.returncode is not None
        if not has_ended and self._client_is_done:
            return
        with suppress(OSError):  # sent already
            self._channel.write_eof()
        if has_ended:
            self._channel.close()
