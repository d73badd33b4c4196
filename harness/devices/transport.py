"""A device that is reached over a link: files, runs and turns there, all through one small shell program on it.

`tests/contracts` holds what has to be so for every kind of link.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from shlex import join, quote
from uuid import uuid4

from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.core.ids import sha256_of_file
from harness.core.units import degrees_c
from harness.devices.link import Answer, Link
from harness.devices.packing import packed
from harness.devices.patience import Patience

AGENT_FILE = Path(__file__).with_name("agent.sh")
_QUESTION_S = 60.0
_GRACE_S = 30.0  # how much later than its limit a run's end may be told
_COLLECT_S = 20
_SLOWEST_BYTES_PER_S = 50_000
_NO_AGENT = (2, 126, 127)


class _Code(IntEnum):
    """How the program on the device ends; the same numbers stand in agent.sh."""

    TROUBLE = 70
    BUSY = 71
    ABSENT = 72
    MISMATCH = 73
    GONE = 74
    PENDING = 75


@dataclass(frozen=True)
class Completed:
    """A command that ended: `exit_code` is over 128 where a signal ended it; `seconds` by the device's own clock.

    `temperatures_c` are its sensors' at the end. `graph_sha256` is of the file that the command was checked against,
    and `others_waiting` how many others want the device.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    temperatures_c: tuple[float, ...] = ()
    graph_sha256: str = ""
    others_waiting: int = 0


@dataclass(frozen=True)
class Graph:
    """A file that has to be on the device, whole, before a command runs."""

    sha256: str
    path: str


@dataclass(frozen=True)
class Turn:
    """A place in the device's queue: `owner` says in words who has it, for `seconds` unless it is renewed."""

    token: str
    owner: str
    seconds: int = 120


class FileAbsent(Exception):
    """The graph is not on the device, or is not what its name says: push it."""


class Transport:
    """Paths and arguments are data, whatever characters they hold.

    Every method may raise CaseFailed: unreachable, no_space, not_writable.
    """

    def __init__(
        self,
        device: str,
        link: Link,
        folder: str,
        interpreter: Sequence[str] = ("python3",),
        patience: Patience | None = None,
    ) -> None:
        self._device = device
        self._link = link
        self._folder = folder if folder.startswith("/") else f"./{folder}"
        self._interpreter = tuple(interpreter)
        self._patience = patience or Patience()
        self._root: str | None = None
        self._last_run = ""
        self.bytes_pushed = 0

    def python(self) -> Sequence[str]:
        """The argv prefix that runs a Python program there."""
        return self._interpreter

    def connect(self) -> None:
        """Opens the link, if it does not stand, and puts the program there."""
        self._steadily(lambda: None)

    def ask(self, script: str, timeout_s: float = _QUESTION_S) -> Completed:
        """Runs a script of POSIX shell that may be run twice, in the working folder, without any of a run's care."""
        answer = self._steadily(
            lambda: self._link.execute(f"exec sh -c {quote(f'cd {quote(self.root)} && {script}')}", timeout_s)
        )
        return Completed(answer.exit_code, _text(answer.stdout), _text(answer.stderr), 0.0)

    def run(
        self,
        argv: Sequence[str],
        timeout_s: float,
        graph: Graph | None = None,
        cpus: Sequence[int] = (),
        turn: Turn | None = None,
    ) -> Completed:
        """Runs a command there to its end; it goes on without the link, whose return is waited for.

        Raises CaseFailed: timeout (nothing of it goes on), device_busy. Raises FileAbsent for the graph.
        """
        run = uuid4().hex
        started = False

        def once() -> Answer:
            nonlocal run, started
            if started:
                if (answer := self._collect(run, timeout_s, graph)).exit_code != _Code.GONE:
                    return answer
                run = uuid4().hex
            started = True
            return self._start(run, argv, timeout_s, graph, cpus, turn)

        try:
            answer = self._steadily(once)
        except BaseException:
            self._end(run)
            raise
        self._last_run = run
        return self._completed(answer, argv, timeout_s)

    def _start(
        self,
        run: str,
        argv: Sequence[str],
        timeout_s: float,
        graph: Graph | None,
        cpus: Sequence[int],
        turn: Turn | None,
    ) -> Answer:
        place = (turn.token, str(int(timeout_s) + turn.seconds), turn.owner) if turn else ("", "", "")
        checked = (graph.sha256, graph.path) if graph else ("", "")
        mask = f"{sum(1 << cpu for cpu in set(cpus)):x}" if cpus else ""
        return self._agent(
            "run", *place, run, self._last_run, f"{timeout_s:g}", mask, *checked, *argv, timeout_s=timeout_s + _GRACE_S
        )

    def _collect(self, run: str, timeout_s: float, graph: Graph | None) -> Answer:
        """The end of a run that was started before the link was lost."""
        for _ in range(int((timeout_s + _GRACE_S) // _COLLECT_S) + 1):
            answer = self._agent("collect", run, str(_COLLECT_S), graph.sha256 if graph else "")
            if answer.exit_code != _Code.PENDING:
                return answer
        self._agent("end", run)
        raise CaseFailed(Reason.TIMEOUT, f"A run on {self._device} did not end within its time, and was ended.")

    def _end(self, run: str) -> None:
        """Leaves nothing running, if the device can still be reached: whoever uses it next sees to it otherwise."""
        if self._root is not None:
            try:
                self._agent("end", run, timeout_s=_COLLECT_S)
            except CaseFailed:
                self._root = None

    def _completed(self, answer: Answer, argv: Sequence[str], timeout_s: float) -> Completed:
        first, _, printed = answer.stdout.partition(b"\n")
        code, began, ended, out, sha256, waiting, temperatures = first.decode().split()
        stdout, stderr = _text(printed[: int(out)]), _text(printed[int(out) :])
        if code == "timeout":
            message = f"{argv[0]} was still running after {timeout_s:g} s on {self._device} and was ended."
            raise CaseFailed(Reason.TIMEOUT, message, f"{stdout}\n{stderr}")
        return Completed(
            int(code),
            stdout,
            stderr,
            round(float(ended) - float(began), 3),
            tuple(degrees_c(temperatures.rstrip("-").split(","))),
            sha256.removeprefix("-"),
            int(waiting),
        )

    def push(self, source: Path, sha256: str, name: str) -> str:
        """Puts a file there under its hash, unless it is there already, and returns its path there.

        Raises CaseFailed: hash_mismatch where what arrived, or what was there, is not `sha256`.
        """
        found = self._checked("present", sha256, name, allowed=(_Code.ABSENT, _Code.MISMATCH))
        if found.exit_code == _Code.MISMATCH:
            self._checked("forget", sha256, name)
            raise self._mismatch(name, sha256)
        if found.exit_code == _Code.ABSENT:
            self.send(source, sha256, name)
        return self.path(sha256, name)

    def send(self, source: Path, sha256: str, name: str) -> None:
        """Puts a file there under its hash, over whatever is there. Raises CaseFailed: hash_mismatch."""
        with packed(source) as (encoding, content):
            timeout_s = _QUESTION_S + content.stat().st_size / _SLOWEST_BYTES_PER_S
            received = self._steadily(
                lambda: self._agent("receive", sha256, name, encoding, timeout_s=timeout_s, stdin=content)
            )
            self.bytes_pushed += content.stat().st_size
        if received.exit_code == _Code.MISMATCH:
            raise self._mismatch(name, sha256)

    def path(self, sha256: str, name: str) -> str:
        """Where a pushed file is there."""
        return f"{self.root}/objects/{sha256}/{name}"

    @property
    def root(self) -> str:
        """The working folder's absolute path there; known once connected."""
        if self._root is None:
            self.connect()
        assert self._root is not None
        return self._root

    def take_turn(self, turn: Turn) -> str | None:
        """Who has the device, or None where it is ours now: nothing of anyone else's run goes on then."""
        answer = self._checked("turn", turn.token, str(turn.seconds), turn.owner, allowed=(_Code.BUSY,))
        return _text(answer.stderr).strip() if answer.exit_code == _Code.BUSY else None

    def leave(self, turn: Turn) -> None:
        """Gives the turn back; nothing of ours goes on then."""
        self._checked("leave", turn.token)

    def clean(self, limit_bytes: int, keep: Sequence[str] = ()) -> dict[str, int]:
        """Removes what was used longest ago, but not `keep`, until `limit_bytes` are left: bytes freed by hash."""
        answer = self._checked("clean", str(limit_bytes // 1024), *keep)
        freed = (line.split() for line in _text(answer.stdout).splitlines())
        return {sha256: int(kilobytes) * 1024 for sha256, kilobytes in freed}

    def interrupt(self) -> None:
        """From another thread: what waits for the device fails, at once."""
        self._link.close()

    def close(self) -> None:
        self._root = None
        self._link.close()

    def _checked(self, *arguments: str, allowed: Sequence[int] = ()) -> Answer:
        answer = self._steadily(lambda: self._agent(*arguments))
        if answer.exit_code not in (0, *allowed):
            raise self._trouble(_text(answer.stderr))
        return answer

    def _steadily(self, once: Callable[[], "Answer | None"]) -> Answer:
        """Tries again what a lost link cut off, on a new connection."""

        def connected() -> Answer | None:
            try:
                if self._root is None:
                    self._root = self._install()
                return once()
            except Unreachable:
                self._root = None
                raise

        try:
            answer = self._patience.attempts()(connected)
        except Unreachable as error:
            raise Unreachable(f"device {self._device}: {error}.", passing=error.passing) from error
        return answer or Answer(0, b"", b"")

    def _install(self) -> str:
        """Puts the program there, whole or not at all, and returns the working folder's path."""
        self._link.open()
        folder = quote(self._folder)
        script = (
            f"LC_ALL=C; export LC_ALL; umask 077; mkdir -p {folder} && cd {folder} && "
            f"cat >.agent.$$ && mv -f .agent.$$ {_agent_name()} && pwd"
        )
        answer = self._link.execute(f"exec sh -c {quote(script)}", _QUESTION_S, AGENT_FILE)
        if answer.exit_code != 0:
            raise self._trouble(_text(answer.stderr))
        return _text(answer.stdout).rstrip("\n")

    def _agent(self, *arguments: str, timeout_s: float = _QUESTION_S, stdin: Path | None = None) -> Answer:
        """One question to the program there. Raises CaseFailed where it can't write or is busy."""
        command = f"exec {join(['sh', f'{self._root}/{_agent_name()}', *arguments])}"
        answer = self._link.execute(command, timeout_s, stdin)
        if answer.exit_code in _NO_AGENT and _agent_name().encode() in answer.stderr:
            raise Unreachable("its working folder is gone")
        if answer.exit_code == _Code.TROUBLE:
            raise self._trouble(_text(answer.stderr))
        if answer.exit_code == _Code.BUSY and arguments[0] == "run":
            raise CaseFailed(
                Reason.DEVICE_BUSY, f"device {self._device} is used by {_text(answer.stderr).strip()} now."
            )
        if answer.exit_code in (_Code.ABSENT, _Code.MISMATCH) and arguments[0] == "run":
            raise FileAbsent
        return answer

    def _trouble(self, said: str) -> CaseFailed:
        where = f"device {self._device}: its folder {self._folder}"
        words = (said.strip().splitlines() or ["it said nothing"])[-1].rstrip(".")
        if re.search(r"No space left|[Qq]uota exceeded", said):
            message = (
                f"device {self._device}: no space left in its folder {self._folder}: make room there, or set `folder`."
            )
            return CaseFailed(Reason.NO_SPACE, message, said)
        if re.search(r"Read-only|Permission denied|can't create|cannot create", said):
            message = f"{where}: can't be written ({words}): set `folder` to one that can."
            return CaseFailed(Reason.NOT_WRITABLE, message, said)
        return CaseFailed(Reason.CRASHED, f"device {self._device}: its shell failed ({words}).", said)

    def _mismatch(self, name: str, sha256: str) -> CaseFailed:
        return CaseFailed(
            Reason.HASH_MISMATCH,
            f"{name} on {self._device} has another content than its name {sha256[:12]}… says; bench again.",
        )


def _agent_name() -> str:
    return f"agent-{sha256_of_file(AGENT_FILE)[:12]}.sh"


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
