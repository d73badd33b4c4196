"""This machine as a device: the same shell, over a link that cannot be lost."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from harness.core.errors import Unreachable
from harness.devices.link import CommandResult, check_answer_size

_CHUNK_BYTES = 1 << 20


class LocalLink:
    """A link that starts a shell on this machine for each command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Do nothing: there is no connection."""

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a command line, as `Link.execute`."""
        with (stdin or Path(os.devnull)).open("rb") as source:
            process = self._process = subprocess.Popen(
                ["sh", "-c", command],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        with process:
            try:
                stdout, stderr = _read(process, deadline)
                process.wait(max(deadline - time.monotonic(), 0))
            except (TimeoutError, subprocess.TimeoutExpired) as error:
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


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes]:
    """Read both streams to their ends. Raises TimeoutError, or Unreachable for too long ones."""
    assert process.stdout is not None
    assert process.stderr is not None
    outputs = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in outputs:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                outputs[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
            check_answer_size(sum(map(len, outputs.values())))
    stdout, stderr = map(bytes, outputs.values())
    return stdout, stderr
