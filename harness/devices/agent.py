"""The shell program on a device, agent.sh: installed at each connection, and run for each command.

A command that a lost link cut off is run again on a new connection.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from shlex import join, quote

from harness.core.errors import LONGEST_CAUSE, CaseFailed, Reason, Unreachable
from harness.core.exit_codes import SIGNALLED
from harness.core.ids import sha256_of_file
from harness.devices.link import CommandResult, Link
from harness.devices.patience import Patience
from harness.devices.run_result import decode
from harness.devices.shell import run_in_sh

COMMAND_TIMEOUT_S = 60.0
LARGEST_SCRIPT_OUTPUT_BYTES = 1_000_000
_FILE = Path(__file__).with_name("agent.sh")
_NO_AGENT = 77  # of the line that starts the program, which agent.sh itself never returns
_DAMAGED = 78
_LONGEST_ANSWER = 60
_LONGEST_LOG = 10_000


class ExitCode(IntEnum):
    """The exit codes of agent.sh, which defines the same numbers."""

    TROUBLE = 70
    BUSY = 71
    ABSENT = 72
    MISMATCH = 73
    VANISHED = 74
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
        self.was_reached = False

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
        """Run a script of POSIX shell in the working folder; a lost link may run it twice.

        Its output is cut after LARGEST_SCRIPT_OUTPUT_BYTES and one more byte.
        The script goes through standard input: some SSH servers take no line of over 9,000 bytes.
        Braces make a script that arrives without its first line fail as a whole.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "script.sh"
            file.write_text(f"{{\n{script}\n}}\n", errors="surrogateescape")
            return self.retry(lambda: self._execute(self._read_script(), stdin=file))

    def _read_script(self) -> str:
        """Return a script that runs the one from standard input, and cuts what it prints."""
        return (
            f"cd {quote(self.root)} 2>/dev/null || exit {_NO_AGENT}; exec 4>&1; "
            'code=$({ { (eval "$(cat)" 3>&- 4>&-); echo "$?" >&3; } | '
            f'head -c {LARGEST_SCRIPT_OUTPUT_BYTES + 1} >&4; }} 3>&1); exit "$code"'
        )

    def call(self, *arguments: str, allowed: Sequence[int] = ()) -> CommandResult:
        """Run a command of the program that may run twice, as `call_once`."""
        return self.retry(lambda: self.call_once(*arguments, allowed=allowed))

    def retry(self, attempt: Callable[[], CommandResult]) -> CommandResult:
        """Make an attempt while connected, and again on a new connection if the link is lost."""

        def attempt_connected() -> CommandResult:
            try:
                if self._root is None:
                    self._root = self._install()
                    self.was_reached = True
                return attempt()
            except Unreachable:
                self._root = None
                raise

        try:
            return self._patience.attempts()(attempt_connected)
        except Unreachable as error:
            raise Unreachable(f"device {self.device}: {error}.", passing=error.passing) from error

    def call_once(
        self,
        *arguments: str,
        allowed: Sequence[int] = (),
        timeout_s: float = COMMAND_TIMEOUT_S,
        stdin: Path | None = None,
    ) -> CommandResult:
        """Run a command of the program, whose exit code must be 0 or an allowed one.

        It is not retried: this is for attempts within `retry`.
        """
        program = quote(f"{self.root}/{_file_name()}")
        script = f"[ -r {program} ] || exit {_NO_AGENT}; exec sh {program} {join(arguments)}"
        result = self._execute(script, timeout_s, stdin=stdin)
        if result.exit_code >= SIGNALLED:  # a run that it started can be collected
            raise Unreachable("its shell was killed")
        if result.exit_code not in (0, *allowed):
            raise self.explain_failure(result)
        return result

    def _execute(
        self, script: str, timeout_s: float = COMMAND_TIMEOUT_S, stdin: Path | None = None
    ) -> CommandResult:
        """Run a script in the device's `sh`; it exits with _NO_AGENT if it must be installed."""
        result = run_in_sh(self._link, script, timeout_s=timeout_s, stdin=stdin)
        if result.exit_code == _NO_AGENT:
            raise Unreachable("its working folder was removed")
        return result

    def _install(self) -> str:
        """Put the program on the device in one step, and return the working folder's path."""
        self._link.open()
        folder = quote(self._folder)
        script = (
            f"trouble() {{ exit {ExitCode.TROUBLE:d}; }}; umask 077; "
            f"mkdir -p {folder} && cd {folder} && cat >.agent.$$ || trouble; "
            f"[ $(wc -c <.agent.$$) -eq {_FILE.stat().st_size} ] || exit {_DAMAGED}; "
            f"mv -f .agent.$$ {_file_name()} && pwd || trouble"
        )
        result = self._execute(script, stdin=_FILE)
        if result.exit_code == _DAMAGED:
            message = (
                "its login shell takes input from files that are sent: correct its start-up files"
            )
            raise Unreachable(message, passing=False)
        if result.exit_code != 0:
            raise self.explain_failure(result)
        root = os.fsdecode(result.stdout).removesuffix("\n")  # a path may have any bytes
        if not root.startswith("/"):
            raise self.explain_damage(result)
        return root

    def explain_damage(self, result: CommandResult) -> CaseFailed:
        """Return the failure of an answer that the program does not give."""
        message = (
            f"device {self.device}: its shell gave no usable answer "
            f"({decode(result.stdout[:_LONGEST_ANSWER])!r}): log in and try `sh -c 'uname -m'`."
        )
        return CaseFailed(Reason.UNPARSABLE, message, log=decode(result.stdout[:_LONGEST_LOG]))

    def explain_failure(self, result: CommandResult) -> CaseFailed:
        """Return the failure that the system's own error message means."""
        errors = decode(result.stderr)
        last_line = (errors.strip().splitlines() or [f"exit code {result.exit_code}"])[-1]
        cause = last_line[:LONGEST_CAUSE].rstrip(".")
        is_about_folder = result.exit_code == ExitCode.TROUBLE
        if is_about_folder and re.search(r"No space left|[Qq]uota exceeded", errors):
            message = (
                f"device {self.device}: no space left in its folder {self._folder}: "
                "free some space, or set `folder` to another one."
            )
            return CaseFailed(Reason.NO_SPACE, message, log=errors)
        if is_about_folder and re.search(
            r"Read-only|Permission denied|not permitted|can't create|cannot create", errors
        ):
            message = (
                f"device {self.device}: its folder {self._folder} is not writable ({cause}): "
                "set `folder` to one that is."
            )
            return CaseFailed(Reason.NOT_WRITABLE, message, log=errors)
        message = f"device {self.device}: its shell failed ({cause})."
        return CaseFailed(Reason.CRASHED, message, log=errors)


def _file_name() -> str:
    return f"agent-{sha256_of_file(_FILE)[:12]}.sh"
