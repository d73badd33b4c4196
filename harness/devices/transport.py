"""The interface of every transport; `tests/contracts` holds what each has to keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Completed:
    """A command that ended: `exit_code` is negative or over 128 where a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class Transport(Protocol):
    """Paths and arguments are data, whatever characters they hold."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Runs a command there to its end. Raises CaseFailed: timeout (nothing of it goes on), unreachable."""
        ...

    def push(self, source: Path, sha256: str, name: str) -> str:
        """Puts a file there under its hash, unless it is there already, and returns its path there.

        Raises CaseFailed: hash_mismatch where what arrived, or what was there, is not `sha256`.
        """
        ...

    def python(self) -> Sequence[str]:
        """The argv prefix that runs a Python program there."""
        ...
