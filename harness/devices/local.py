"""This machine as a device: the same shell, without a link that could be lost."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from harness.core.errors import Unreachable
from harness.devices.link import CommandResult


class LocalLink:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """There is nothing to open."""

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
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
                f"no answer from the shell within {timeout_s:g} s; is it overloaded?"
            ) from error
        finally:
            self.close()
        return CommandResult(process.returncode, stdout, stderr=stderr)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
