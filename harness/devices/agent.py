"""The shell program on a device, agent.sh: installed at each connection, and run for each command.

A command that a lost link cut off is run again on a new connection.
"""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from shlex import join, quote

from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.core.ids import sha256_of_file
from harness.devices.link import CommandResult, Link
from harness.devices.patience import Patience

COMMAND_TIMEOUT_S = 60.0
_FILE = Path(__file__).with_name("agent.sh")
_NO_AGENT = (2, 126, 127)  # exit codes of a shell that can't run the program
_SIGNALLED = 128


class ExitCode(IntEnum):
    """The exit codes of agent.sh, which defines the same numbers."""

    TROUBLE = 70
    BUSY = 71
    ABSENT = 72
    MISMATCH = 73
    GONE = 74
    PENDING = 75
    UNGOVERNED = 76


class Agent:
    """The program on one device. Every method may raise CaseFailed.

    The reasons are unreachable, no_space and not_writable.
    """

    def __init__(self, device: str, link: Link, folder: str, patience: Patience) -> None:
        self.device = device
        self._link = link
        self._folder = folder if folder.startswith("/") else f"./{folder}"
        self._patience = patience
        self._root: str | None = None

    @property
    def root(self) -> str:
        """The absolute path of the working folder on the device; connects to find it."""
        if self._root is None:
            self.connect()
        assert self._root is not None
        return self._root

    @property
    def is_connected(self) -> bool:
        return self._root is not None

    def connect(self) -> None:
        """Open the link and install the program, unless connected."""
        self.retry(lambda: CommandResult(0, b"", stderr=b""))

    def close(self) -> None:
        self._root = None
        self._link.close()

    def interrupt(self) -> None:
        """Make everything that waits for the device fail at once; for calls from another thread."""
        self._link.close()

    def run_script(self, script: str) -> CommandResult:
        """Run a script of POSIX shell in the working folder; a lost link may run it twice."""
        return self.retry(
            lambda: self._link.execute(
                f"exec sh -c {quote(f'cd {quote(self.root)} && {script}')}", COMMAND_TIMEOUT_S
            )
        )

    def call(self, *arguments: str, allowed: Sequence[int] = ()) -> CommandResult:
        """Run a command of the program that may run twice; its exit code is 0 or an allowed one."""
        result = self.retry(lambda: self.call_once(*arguments))
        if result.exit_code not in (0, *allowed):
            raise self.explain_failure(result)
        return result

    def retry(self, attempt: Callable[[], CommandResult]) -> CommandResult:
        """Make an attempt while connected, and again on a new connection if the link is lost."""

        def attempt_connected() -> CommandResult:
            try:
                if self._root is None:
                    self._root = self._install()
                return attempt()
            except Unreachable:
                self._root = None
                raise

        try:
            return self._patience.attempts()(attempt_connected)
        except Unreachable as error:
            raise Unreachable(f"device {self.device}: {error}.", passing=error.passing) from error

    def call_once(
        self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S, stdin: Path | None = None
    ) -> CommandResult:
        """Run a command of the program without retrying; for attempts within `retry`."""
        command = f"exec {join(['sh', f'{self._root}/{_file_name()}', *arguments])}"
        result = self._link.execute(command, timeout_s, stdin=stdin)
        if not 0 <= result.exit_code < _SIGNALLED:  # a run that it started can be collected
            raise Unreachable("its shell was killed")
        if result.exit_code in _NO_AGENT and _file_name().encode() in result.stderr:
            raise Unreachable("its working folder was removed")
        if result.exit_code == ExitCode.TROUBLE:
            raise self.explain_failure(result)
        return result

    def _install(self) -> str:
        """Put the program on the device in one step, and return the working folder's path."""
        self._link.open()
        folder = quote(self._folder)
        script = (
            f"LC_ALL=C; export LC_ALL; umask 077; mkdir -p {folder} && cd {folder} && "
            f"cat >.agent.$$ && mv -f .agent.$$ {_file_name()} && pwd"
        )
        result = self._link.execute(f"exec sh -c {quote(script)}", COMMAND_TIMEOUT_S, stdin=_FILE)
        if result.exit_code != 0:
            raise self.explain_failure(result)
        return decode(result.stdout).rstrip("\n")

    def explain_failure(self, result: CommandResult) -> CaseFailed:
        """Return the failure that the system's own error message means."""
        errors = decode(result.stderr)
        last_line = (errors.strip().splitlines() or ["no error message"])[-1].rstrip(".")
        if re.search(r"No space left|[Qq]uota exceeded", errors):
            message = (
                f"device {self.device}: no space left in its folder {self._folder}: "
                "free some space, or set `folder` to another one."
            )
            return CaseFailed(Reason.NO_SPACE, message, log=errors)
        if re.search(
            r"Read-only|Permission denied|not permitted|can't create|cannot create", errors
        ):
            message = (
                f"device {self.device}: its folder {self._folder} is not writable ({last_line}): "
                "set `folder` to one that is."
            )
            return CaseFailed(Reason.NOT_WRITABLE, message, log=errors)
        message = f"device {self.device}: its shell failed ({last_line})."
        return CaseFailed(Reason.CRASHED, message, log=errors)


def _file_name() -> str:
    return f"agent-{sha256_of_file(_FILE)[:12]}.sh"


def decode(data: bytes) -> str:
    """Decode a device's output; bytes that are not UTF-8 are replaced."""
    return data.decode(errors="replace")
