"""The interface of a link: a vendor's way of reaching a device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the raw output of a shell command."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Link(Protocol):
    """A connection that runs shell commands on a device.

    One thread at a time uses it, but `close` may come from another.
    """

    def open(self) -> None:
        """Connect unless connected. Raises Unreachable."""
        ...

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a line of POSIX shell to its end, with a file or nothing as its standard input.

        Raises Unreachable if the connection is lost or the command exceeds its time limit. The
        command may still run on the device then.
        """
        ...

    def close(self) -> None:
        """Disconnect, and end an `execute` that still waits."""
        ...
