"""The interface of a link: a vendor's way of reaching a device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from harness.core.errors import Unreachable

LARGEST_ANSWER_BYTES: Final = 1 << 27
"""A tool prints at most half as much, as agent.sh limits it."""


def check_answer_size(size_bytes: int) -> None:
    """Raise Unreachable if an answer is larger than LARGEST_ANSWER_BYTES."""
    if size_bytes > LARGEST_ANSWER_BYTES:
        raise Unreachable(
            f"it printed over {LARGEST_ANSWER_BYTES >> 20} MiB for one command: "
            "look for a start-up file or a sensor that prints without end",
            passing=False,
        )


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the raw output of a command."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Link(Protocol):
    """A connection that gives command lines to a device's login shell, whichever that is.

    Only `shell.py` writes such lines.

    One thread at a time uses it, but `close` may come from another.
    """

    def open(self) -> None:
        """Connect unless connected. Raises Unreachable."""
        ...

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a command line to its end, with a file or nothing as its standard input.

        Raises Unreachable if the connection is lost or the command exceeds its time limit. The
        command may still run on the device then. It also raises Unreachable for an answer of more
        than LARGEST_ANSWER_BYTES.
        """
        ...

    def close(self) -> None:
        """Disconnect, and end an `execute` that still waits."""
        ...
