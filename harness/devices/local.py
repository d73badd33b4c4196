"""This machine as a device: the same shell, over a link that cannot be lost."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from harness.core.errors import Unreachable
from harness.devices.link import CommandResult


class LocalLink:
    """A link that starts a shell on this machine for each command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Do nothing: there is no connection."""

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a line of POSIX shell, as `Link.execute`."""
        with (stdin or Path(os.devnull)).open("rb") as source:
            process = self._process = subprocess.Popen(
                ["sh", "-c", command],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(
                f"its shell did not answer within {timeout_s:g} s; is the machine overloaded?"
            ) from error
        finally:
            self.close()
        return CommandResult(process.returncode, stdout, stderr=stderr)

    def close(self) -> None:
        """Kill the command that still runs, with its children."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
