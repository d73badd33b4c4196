"""The program on a device, agent.sh: put there at each connection, and asked again where a link was lost."""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from shlex import join, quote

from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.core.ids import sha256_of_file
from harness.devices.link import CommandResult, Link
from harness.devices.patience import Patience

_FILE = Path(__file__).with_name("agent.sh")
_QUESTION_S = 60.0
_NO_AGENT = (2, 126, 127)
_SIGNALLED = 128


class ExitCode(IntEnum):
    """How the program on the device ends; the same numbers stand in agent.sh."""

    TROUBLE = 70
    BUSY = 71
    ABSENT = 72
    MISMATCH = 73
    GONE = 74
    PENDING = 75
    UNGOVERNED = 76


class Agent:
    """Every method may raise CaseFailed: unreachable, no_space, not_writable."""

    def __init__(self, device: str, link: Link, folder: str, patience: Patience) -> None:
        self.device = device
        self._link = link
        self._folder = folder if folder.startswith("/") else f"./{folder}"
        self._patience = patience
        self._root: str | None = None

    @property
    def root(self) -> str:
        """The working folder's absolute path there; known once connected."""
        if self._root is None:
            self.connect()
        assert self._root is not None
        return self._root

    @property
    def is_connected(self) -> bool:
        return self._root is not None

    def connect(self) -> None:
        """Opens the link, if it does not stand, and puts the program there."""
        self.steadily(lambda: CommandResult(0, b"", stderr=b""))

    def close(self) -> None:
        self._root = None
        self._link.close()

    def interrupt(self) -> None:
        """From another thread: what waits for the device fails, at once."""
        self._link.close()

    def shell(self, script: str, timeout_s: float = _QUESTION_S) -> CommandResult:
        """Runs a script of POSIX shell that may be run twice, in the working folder."""
        return self.steadily(
            lambda: self._link.execute(
                f"exec sh -c {quote(f'cd {quote(self.root)} && {script}')}", timeout_s
            )
        )

    def checked(self, *arguments: str, allowed: Sequence[int] = ()) -> CommandResult:
        """A question that may be asked twice, and its answer: 0, or one that is allowed."""
        answer = self.steadily(lambda: self.ask(*arguments))
        if answer.exit_code not in (0, *allowed):
            raise self.trouble(answer)
        return answer

    def steadily(self, once: Callable[[], CommandResult]) -> CommandResult:
        """Tries again what a lost link cut off, on a new connection."""

        def connected() -> CommandResult:
            try:
                if self._root is None:
                    self._root = self._install()
                return once()
            except Unreachable:
                self._root = None
                raise

        try:
            return self._patience.attempts()(connected)
        except Unreachable as error:
            raise Unreachable(f"device {self.device}: {error}.", passing=error.passing) from error

    def ask(
        self, *arguments: str, timeout_s: float = _QUESTION_S, stdin: Path | None = None
    ) -> CommandResult:
        """Asks once; within `steadily`."""
        command = f"exec {join(['sh', f'{self._root}/{_name()}', *arguments])}"
        answer = self._link.execute(command, timeout_s, stdin=stdin)
        if not 0 <= answer.exit_code < _SIGNALLED:  # what it started goes on, and can be collected
            raise Unreachable("its shell was killed")
        if answer.exit_code in _NO_AGENT and _name().encode() in answer.stderr:
            raise Unreachable("its working folder is gone")
        if answer.exit_code == ExitCode.TROUBLE:
            raise self.trouble(answer)
        return answer

    def _install(self) -> str:
        """Puts the program there, whole or not at all, and returns the working folder's path."""
        self._link.open()
        folder = quote(self._folder)
        script = (
            f"LC_ALL=C; export LC_ALL; umask 077; mkdir -p {folder} && cd {folder} && "
            f"cat >.agent.$$ && mv -f .agent.$$ {_name()} && pwd"
        )
        answer = self._link.execute(f"exec sh -c {quote(script)}", _QUESTION_S, stdin=_FILE)
        if answer.exit_code != 0:
            raise self.trouble(answer)
        return text(answer.stdout).rstrip("\n")

    def trouble(self, answer: CommandResult) -> CaseFailed:
        """Why it could not do what it was asked, by the system's own words."""
        said = text(answer.stderr)
        where = f"device {self.device}: its folder {self._folder}"
        words = (said.strip().splitlines() or ["it said nothing"])[-1].rstrip(".")
        if re.search(r"No space left|[Qq]uota exceeded", said):
            message = f"device {self.device}: no space left in its folder {self._folder}: make room there, or set `folder`."
            return CaseFailed(Reason.NO_SPACE, message, log=said)
        if re.search(r"Read-only|Permission denied|not permitted|can't create|cannot create", said):
            message = f"{where}: can't be written ({words}): set `folder` to one that can."
            return CaseFailed(Reason.NOT_WRITABLE, message, log=said)
        return CaseFailed(
            Reason.CRASHED, f"device {self.device}: its shell failed ({words}).", log=said
        )


def _name() -> str:
    return f"agent-{sha256_of_file(_FILE)[:12]}.sh"


def text(data: bytes) -> str:
    return data.decode(errors="replace")
