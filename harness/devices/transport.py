"""A device that is reached over a link: its files, runs and turns, all through one shell program.

`tests/contracts` holds what every kind of link must do.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from harness.core.errors import CaseFailed, DeviceBusy, Reason
from harness.devices.agent import COMMAND_TIMEOUT_S, LARGEST_SCRIPT_OUTPUT_BYTES, Agent, ExitCode
from harness.devices.link import CommandResult, Link
from harness.devices.packing import pack
from harness.devices.patience import Patience
from harness.devices.run_result import TIMED_OUT, RunResult, decode, parse_report

SLOWEST_BYTES_PER_S = 50_000
"""The rate of the slowest transfer that is still waited for."""

WATCH_INTERVAL_S = 10.0
"""Costs an emulated ARM64 board under 1 % of a core: see benchmarks/watching.py."""

_GRACE_S = 30.0  # how long after its time limit the end of a run may arrive
_COLLECT_S = 20
_REMOVED = re.compile(r"^([0-9a-f]{64}) ([0-9]{1,12})$", re.MULTILINE)


@dataclass(frozen=True)
class ModelFile:
    """A file that must be complete on the device before a command runs."""

    sha256: str
    path: str


@dataclass(frozen=True)
class Turn:
    """A place in the device's queue, for `seconds` unless renewed; `owner` names its user."""

    token: str
    owner: str
    seconds: int = 120


class FileAbsent(Exception):
    """The model file is not on the device, or does not match its hash: send it."""


class Transport:
    """Files, runs and turns on one device. Paths and arguments may hold any characters.

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
        """The first words of a command that runs a Python program on the device."""
        return self._interpreter

    @property
    def was_reached(self) -> bool:
        """Return whether the device was ever reached; it knows nothing of us otherwise."""
        return self._agent.was_reached

    def connect(self) -> None:
        """Open the link unless it is open."""
        self._agent.connect()

    def run_script(self, script: str) -> RunResult:
        """Run a script of POSIX shell in the working folder, without the safeguards of `run`.

        A lost link may run the script twice. Raises CaseFailed: unparsable for an answer of more
        than a megabyte.
        """
        result = self._agent.run_script(script)
        if len(result.stdout) > LARGEST_SCRIPT_OUTPUT_BYTES:
            message = (
                f"device {self._device}: a script printed over a megabyte: "
                "look for a sensor that prints without end."
            )
            raise CaseFailed(Reason.UNPARSABLE, message)
        return RunResult(
            result.exit_code, decode(result.stdout), stderr=decode(result.stderr), seconds=0.0
        )

    def run(
        self,
        argv: Sequence[str],
        timeout_s: float,
        model: ModelFile | None = None,
        cpus: Sequence[int] = (),
        turn: Turn | None = None,
        watch: Sequence[str] | None = None,
        interval_s: float = WATCH_INTERVAL_S,
    ) -> RunResult:
        """Run a command to its end; it survives the loss of the link, whose return is waited for.

        `watch` lists sensors: absolute paths of files, or lines of shell after a `!`. They are read
        right before and after the command, and every `interval_s` meanwhile. The first reading
        meanwhile comes after a second, or after a shorter interval. The time of all cores is
        recorded, too, without a sensor.

        Raises CaseFailed: timeout (no process is left). Raises DeviceBusy, and FileAbsent if the
        model must be sent.
        """
        run = uuid4().hex
        watching = ("", "") if watch is None else (f"{interval_s:g}", "\n".join(watch))
        started = False

        def attempt() -> CommandResult:
            nonlocal run, started
            if started:
                result = self._collect(run, timeout_s, model=model)
                if result.exit_code != ExitCode.VANISHED:
                    return result
                run = uuid4().hex
            started = True
            return self._start(
                run, argv, timeout_s=timeout_s, model=model, cpus=cpus, turn=turn, watching=watching
            )

        try:
            result = self._agent.retry(attempt)
        except BaseException:
            self._end(run)
            raise
        self._last_run = run
        return self._parse_result(result, argv, timeout_s=timeout_s)

    def _start(
        self,
        run: str,
        argv: Sequence[str],
        timeout_s: float,
        model: ModelFile | None,
        cpus: Sequence[int],
        turn: Turn | None,
        watching: tuple[str, str],
    ) -> CommandResult:
        """Start a run and wait for its end; the arguments are those of agent.sh's `run`."""
        place = ("", "", "")
        if turn:
            place = (turn.token, str(int(timeout_s) + turn.seconds), turn.owner)
        mask = f"{sum(1 << cpu for cpu in set(cpus)):x}" if cpus else ""
        settings = (run, self._last_run, f"{timeout_s:g}", mask, *watching)
        checked_file = (model.sha256, model.path) if model else ("", "")
        result = self._agent.call_once(
            *("run", *place, *settings, *checked_file, *argv),
            allowed=(ExitCode.BUSY, ExitCode.ABSENT, ExitCode.MISMATCH),
            timeout_s=timeout_s + _GRACE_S,
        )
        if result.exit_code == ExitCode.BUSY:
            message = f"device {self._device} is in use by {decode(result.stderr).strip()}."
            raise DeviceBusy(message)
        if result.exit_code in (ExitCode.ABSENT, ExitCode.MISMATCH):
            raise FileAbsent
        return result

    def _collect(self, run: str, timeout_s: float, model: ModelFile | None) -> CommandResult:
        """Return the result of a run that was started before the link was lost."""
        sha256 = model.sha256 if model else ""
        for _ in range(int((timeout_s + _GRACE_S) // _COLLECT_S) + 1):
            result = self._agent.call_once(
                *("collect", run, str(_COLLECT_S), sha256),
                allowed=(ExitCode.VANISHED, ExitCode.PENDING),
            )
            if result.exit_code != ExitCode.PENDING:
                return result
        self._agent.call_once("end", run)
        raise CaseFailed(
            Reason.TIMEOUT, f"A run on {self._device} exceeded its time limit and was ended."
        )

    def _end(self, run: str) -> None:
        """End a run if the device can still be reached; its next user ends the run otherwise."""
        if self._agent.is_connected:
            with suppress(CaseFailed):
                self._agent.call_once("end", run, timeout_s=_COLLECT_S)

    def _parse_result(
        self, result: CommandResult, argv: Sequence[str], timeout_s: float
    ) -> RunResult:
        try:
            run_result = parse_report(result.stdout)
        except ValueError as error:
            raise self._agent.explain_damage(result) from error
        if run_result.exit_code == TIMED_OUT:
            message = (
                f"{argv[0]} was still running after {timeout_s:g} s on {self._device} "
                "and was ended."
            )
            log = f"{run_result.stdout}\n{run_result.stderr}"
            raise CaseFailed(Reason.TIMEOUT, message, log=log)
        return run_result

    def push(self, source: Path, sha256: str, name: str) -> str:
        """Send a file unless the device has it, and return its path on the device.

        Raises CaseFailed: hash_mismatch if the file that arrived, or the device's, is not `sha256`.
        """
        result = self._agent.call(
            "present", sha256, name, allowed=(ExitCode.ABSENT, ExitCode.MISMATCH)
        )
        if result.exit_code == ExitCode.MISMATCH:
            self._agent.call("forget", sha256, name)
            raise self._explain_mismatch(name, sha256)
        if result.exit_code == ExitCode.ABSENT:
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
        """Send a file, and replace the device's; with a limit, `clean` to it before.

        Raises CaseFailed: hash_mismatch.
        """
        cleaning = () if limit_bytes is None else (str(limit_bytes // 1024), *keep)
        with pack(source) as (encoding, content):
            timeout_s = COMMAND_TIMEOUT_S + content.stat().st_size / SLOWEST_BYTES_PER_S
            result = self._agent.retry(
                lambda: self._agent.call_once(
                    *("receive", sha256, name, encoding, *cleaning),
                    allowed=(ExitCode.MISMATCH,),
                    timeout_s=timeout_s,
                    stdin=content,
                )
            )
            self.bytes_pushed += content.stat().st_size
        if result.exit_code == ExitCode.MISMATCH:
            raise self._explain_mismatch(name, sha256)

    def path_of(self, sha256: str, name: str) -> str:
        """Return the path of a pushed file on the device."""
        return f"{self._agent.root}/objects/{sha256}/{name}"

    def take_turn(self, turn: Turn) -> str | None:
        """Take or renew a turn. Return who has the device, or None if it is ours now.

        Runs of earlier users have ended then.
        """
        result = self._agent.call(
            "turn", turn.token, str(turn.seconds), turn.owner, allowed=(ExitCode.BUSY,)
        )
        return _holder_of(result)

    def set_governor(self, turn: Turn, governor: str) -> str | None:
        """Take or renew a turn, and set the governor of all cores for as long as it lasts.

        Return who has the device, or None if it is ours now. The device restores its governors when
        the turn is released, passes to others, or expires. Raises CaseFailed: not_writable.
        """
        result = self._agent.call(
            *("govern", turn.token, str(turn.seconds), turn.owner, governor),
            allowed=(ExitCode.BUSY, ExitCode.UNGOVERNED),
        )
        if result.exit_code == ExitCode.UNGOVERNED:
            raise self._explain_ungoverned(
                governor,
                available=decode(result.stdout).split(),
                system_error=decode(result.stderr).strip(),
            )
        return _holder_of(result)

    def _explain_ungoverned(
        self, governor: str, available: Sequence[str], system_error: str
    ) -> CaseFailed:
        """Return the failure; `available` lists the device's governors if they lack this one."""
        if available:
            message = (
                f"has no governor {governor}: "
                f"set `governor` in its entry to {' or '.join(available)}."
            )
        else:
            message = (
                f"can't set its governor ({system_error}): "
                "log in as root, or remove `governor` from its entry."
            )
        return CaseFailed(Reason.NOT_WRITABLE, f"device {self._device} {message}", log=system_error)

    def release_turn(self, turn: Turn) -> None:
        """Give the turn back: our runs end, and the governors are restored."""
        self._agent.call("leave", turn.token)

    def clean(self, limit_bytes: int, keep: Sequence[str] = ()) -> dict[str, int]:
        """Remove the least recently used files until `limit_bytes` are in use.

        Files whose hashes are in `keep` stay. Return the freed bytes by hash.
        """
        result = self._agent.call("clean", str(limit_bytes // 1024), *keep)
        removed = _REMOVED.findall(decode(result.stdout))
        return {sha256: int(kilobytes) * 1024 for sha256, kilobytes in removed}

    def interrupt(self) -> None:
        """Make everything that waits for the device fail at once; for calls from another thread."""
        self._agent.interrupt()

    def close(self) -> None:
        self._agent.close()

    def _explain_mismatch(self, name: str, sha256: str) -> CaseFailed:
        message = (
            f"{name} on {self._device} does not match its SHA-256 {sha256[:12]}…: "
            "run the bench again."
        )
        return CaseFailed(Reason.HASH_MISMATCH, message)


def _holder_of(result: CommandResult) -> str | None:
    return decode(result.stderr).strip() if result.exit_code == ExitCode.BUSY else None
