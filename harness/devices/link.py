"""The one small interface to each vendor's way of reaching a device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class CommandResult:
    """What a command said, and how it ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Link(Protocol):
    """Runs shell commands on a device. Used by one thread at a time, but `close` may come from another."""

    def open(self) -> None:
        """Makes the connection unless it stands. Raises Unreachable."""
        ...

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Runs a line of POSIX shell, a file as its standard input or nothing, to its end.

        Raises Unreachable where the connection is lost or nothing comes for too long: whether the command goes on there
        is not known then.
        """
        ...

    def close(self) -> None:
        """Ends the connection, and with it an `execute` that still waits."""
        ...
