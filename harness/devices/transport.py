"""A device that is reached over a link: files, runs and turns there, all through one small shell program on it.

`tests/contracts` holds what has to be so for every kind of link.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from harness.core.errors import CaseFailed, DeviceBusy, Reason
from harness.devices.agent import Agent, ExitCode, text
from harness.devices.link import CommandResult, Link
from harness.devices.packing import packed
from harness.devices.patience import Patience

_QUESTION_S = 60.0
_GRACE_S = 30.0  # how much later than its limit a run's end may be told
_COLLECT_S = 20
_SLOWEST_BYTES_PER_S = 50_000
WATCH_INTERVAL_S = (
    10.0  # costs an emulated ARM64 board under 1 % of a core: see benchmarks/watching.py
)


@dataclass(frozen=True)
class RunResult:
    """A command that ended: `exit_code` is over 128 where a signal ended it; `seconds` by the device's own clock.

    `watch` is what its sensors said meanwhile, as `bench/watch.py` reads it. `model_sha256` is of the file that the
    command was checked against, and `others_waiting` how many others want the device.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    watch: str = ""
    model_sha256: str = ""
    others_waiting: int = 0


@dataclass(frozen=True)
class ModelFile:
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
        self._agent = Agent(device, link, folder=folder, patience=patience or Patience())
        self._interpreter = tuple(interpreter)
        self._last_run = ""
        self.bytes_pushed = 0

    @property
    def python_argv(self) -> Sequence[str]:
        """The argv prefix that runs a Python program there."""
        return self._interpreter

    def connect(self) -> None:
        """Opens the link, if it does not stand."""
        self._agent.connect()

    def run_script(self, script: str) -> RunResult:
        """Runs a script of POSIX shell that may be run twice, in the working folder, without any of a run's care."""
        answer = self._agent.shell(script)
        return RunResult(
            answer.exit_code, text(answer.stdout), stderr=text(answer.stderr), seconds=0.0
        )

    def run(
        self,
        argv: Sequence[str],
        timeout_s: float,
        graph: ModelFile | None = None,
        cpus: Sequence[int] = (),
        turn: Turn | None = None,
        watch: Sequence[str] | None = None,
        interval_s: float = WATCH_INTERVAL_S,
    ) -> RunResult:
        """Runs a command there to its end; it goes on without the link, whose return is waited for.

        `watch`, where given, is what to look at right before and after, and every `interval_s` meanwhile: files by
        absolute paths, and lines of shell, each after a `!`. The first such look comes after a second, or an interval
        if that is shorter. The time of all cores is told too, without a source.

        Raises CaseFailed: timeout (nothing of it goes on). Raises DeviceBusy, and FileAbsent for the graph.
        """
        run = uuid4().hex
        watching = ("", "") if watch is None else (f"{interval_s:g}", "\n".join(watch))
        started = False

        def once() -> CommandResult:
            nonlocal run, started
            if started:
                if (
                    answer := self._collect(run, timeout_s, graph=graph)
                ).exit_code != ExitCode.GONE:
                    return answer
                run = uuid4().hex
            started = True
            return self._start(
                run, argv, timeout_s=timeout_s, graph=graph, cpus=cpus, turn=turn, watching=watching
            )

        try:
            answer = self._agent.steadily(once)
        except BaseException:
            self._end(run)
            raise
        self._last_run = run
        return self._completed(answer, argv, timeout_s=timeout_s)

    def _start(
        self,
        run: str,
        argv: Sequence[str],
        timeout_s: float,
        graph: ModelFile | None,
        cpus: Sequence[int],
        turn: Turn | None,
        watching: tuple[str, str],
    ) -> CommandResult:
        place = (
            (turn.token, str(int(timeout_s) + turn.seconds), turn.owner) if turn else ("", "", "")
        )
        checked = (graph.sha256, graph.path) if graph else ("", "")
        mask = f"{sum(1 << cpu for cpu in set(cpus)):x}" if cpus else ""
        how = (run, self._last_run, f"{timeout_s:g}", mask, *watching)
        answer = self._agent.ask(
            "run", *place, *how, *checked, *argv, timeout_s=timeout_s + _GRACE_S
        )
        if answer.exit_code == ExitCode.BUSY:
            message = f"device {self._device} is used by {text(answer.stderr).strip()} now."
            raise DeviceBusy(message)
        if answer.exit_code in (ExitCode.ABSENT, ExitCode.MISMATCH):
            raise FileAbsent
        return answer

    def _collect(self, run: str, timeout_s: float, graph: ModelFile | None) -> CommandResult:
        """The end of a run that was started before the link was lost."""
        for _ in range(int((timeout_s + _GRACE_S) // _COLLECT_S) + 1):
            answer = self._agent.ask("collect", run, str(_COLLECT_S), graph.sha256 if graph else "")
            if answer.exit_code != ExitCode.PENDING:
                return answer
        self._agent.ask("end", run)
        raise CaseFailed(
            Reason.TIMEOUT, f"A run on {self._device} did not end within its time, and was ended."
        )

    def _end(self, run: str) -> None:
        """Leaves nothing running, if the device can still be reached: whoever uses it next sees to it otherwise."""
        if self._agent.is_connected:
            with suppress(CaseFailed):
                self._agent.ask("end", run, timeout_s=_COLLECT_S)

    def _completed(self, answer: CommandResult, argv: Sequence[str], timeout_s: float) -> RunResult:
        if answer.exit_code != 0:
            raise self._agent.trouble(answer)
        first, _, printed = answer.stdout.partition(b"\n")
        code, began, ended, out, watched, sha256, waiting = first.decode().split()
        end = int(out) + int(watched)
        stdout, watch, stderr = (
            text(part) for part in (printed[: int(out)], printed[int(out) : end], printed[end:])
        )
        if code == "timeout":
            message = f"{argv[0]} was still running after {timeout_s:g} s on {self._device} and was ended."
            raise CaseFailed(Reason.TIMEOUT, message, log=f"{stdout}\n{stderr}")
        return RunResult(
            int(code),
            stdout,
            stderr=stderr,
            seconds=round(float(ended) - float(began), 3),
            watch=watch,
            model_sha256=sha256.removeprefix("-"),
            others_waiting=int(waiting),
        )

    def push(self, source: Path, sha256: str, name: str) -> str:
        """Puts a file there under its hash, unless it is there already, and returns its path there.

        Raises CaseFailed: hash_mismatch where what arrived, or what was there, is not `sha256`.
        """
        found = self._agent.checked(
            "present", sha256, name, allowed=(ExitCode.ABSENT, ExitCode.MISMATCH)
        )
        if found.exit_code == ExitCode.MISMATCH:
            self._agent.checked("forget", sha256, name)
            raise self._mismatch(name, sha256)
        if found.exit_code == ExitCode.ABSENT:
            self.send(source, sha256, name=name)
        return self.path_of(sha256, name)

    def send(
        self,
        source: Path,
        sha256: str,
        name: str,
        limit_bytes: int | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        """Puts a file there under its hash, over whatever is there, and cleans before, where there is a limit.

        Raises CaseFailed: hash_mismatch.
        """
        room = () if limit_bytes is None else (str(limit_bytes // 1024), *keep)
        with packed(source) as (encoding, content):
            timeout_s = _QUESTION_S + content.stat().st_size / _SLOWEST_BYTES_PER_S
            received = self._agent.steadily(
                lambda: self._agent.ask(
                    "receive", sha256, name, encoding, *room, timeout_s=timeout_s, stdin=content
                )
            )
            self.bytes_pushed += content.stat().st_size
        if received.exit_code == ExitCode.MISMATCH:
            raise self._mismatch(name, sha256)

    def path_of(self, sha256: str, name: str) -> str:
        """Where a pushed file is there."""
        return f"{self._agent.root}/objects/{sha256}/{name}"

    def take_turn(self, turn: Turn) -> str | None:
        """Who has the device, or None where it is ours now: nothing of anyone else's run goes on then."""
        answer = self._agent.checked(
            "turn", turn.token, str(turn.seconds), turn.owner, allowed=(ExitCode.BUSY,)
        )
        return text(answer.stderr).strip() if answer.exit_code == ExitCode.BUSY else None

    def set_governor(self, turn: Turn, governor: str) -> str | None:
        """Sets the governor of all cores for as long as the turn lasts; who has the device otherwise, as `take_turn`.

        The device puts back what it had once the turn is given back, taken by others, or over without a word of us.
        Raises CaseFailed: not_writable.
        """
        asked = ("govern", turn.token, str(turn.seconds), turn.owner, governor)
        answer = self._agent.checked(*asked, allowed=(ExitCode.BUSY, ExitCode.UNGOVERNED))
        if answer.exit_code == ExitCode.UNGOVERNED:
            raise self._ungoverned(
                governor, text(answer.stdout).split(), said=text(answer.stderr).strip()
            )
        return text(answer.stderr).strip() if answer.exit_code == ExitCode.BUSY else None

    def _ungoverned(self, governor: str, available: Sequence[str], said: str) -> CaseFailed:
        """`available`: the governors that it has instead; otherwise `said` are the system's words."""
        if available:
            message = f"has no governor {governor}: set `governor` in its entry to {' or '.join(available)}."
        else:
            message = f"can't set its governor ({said}): log in as root there, or take `governor` out of its entry."
        return CaseFailed(Reason.NOT_WRITABLE, f"device {self._device} {message}", log=said)

    def release_turn(self, turn: Turn) -> None:
        """Gives the turn back; nothing of ours goes on then, and governors are as they were."""
        self._agent.checked("leave", turn.token)

    def clean(self, limit_bytes: int, keep: Sequence[str] = ()) -> dict[str, int]:
        """Removes what was used longest ago, but not `keep`, until `limit_bytes` are left: bytes freed by hash."""
        answer = self._agent.checked("clean", str(limit_bytes // 1024), *keep)
        freed = (line.split() for line in text(answer.stdout).splitlines())
        return {sha256: int(kilobytes) * 1024 for sha256, kilobytes in freed}

    def interrupt(self) -> None:
        """From another thread: what waits for the device fails, at once."""
        self._agent.interrupt()

    def close(self) -> None:
        self._agent.close()

    def _mismatch(self, name: str, sha256: str) -> CaseFailed:
        return CaseFailed(
            Reason.HASH_MISMATCH,
            f"{name} on {self._device} has another content than its name {sha256[:12]}… says; bench again.",
        )
