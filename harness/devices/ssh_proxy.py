"""The program of a `ProxyCommand`, whose input and output carry an SSH connection."""

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO

_ENDING_TIMEOUT_S = 2


@dataclass(frozen=True)
class Proxy:
    """A running proxy program and the socket to it."""

    sock: socket.socket
    _process: "subprocess.Popen[bytes]"
    _errors: IO[bytes]

    def describe_ending(self) -> str:
        """Return how the program ended and its last words, or "" if it still runs."""
        try:
            code = self._process.wait(_ENDING_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        words = [line.strip().rstrip(".") for line in lines if line.strip()]
        return f"ended with code {code}" + (f" ({words[-1]})" if words else "")

    def end(self) -> None:
        """End the program, with the programs that it started."""
        self.sock.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_ENDING_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._errors.close()


def start_proxy(command: str, resources: ExitStack) -> Proxy:
    """Start a proxy program with the user's shell, as `ssh` does; `resources` ends it.

    Raises OSError.
    """
    sock, its_sock = socket.socketpair()
    with its_sock:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (the proxy closes it)
        try:
            process = subprocess.Popen(
                [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
                stdin=its_sock.fileno(),
                stdout=its_sock.fileno(),
                stderr=errors,
                start_new_session=True,
            )
        except OSError:
            sock.close()
            errors.close()
            raise
    proxy = Proxy(sock, process, _errors=errors)
    resources.callback(proxy.end)
    return proxy
