"""Android phones: the `adb` program, run on this machine, or on the hub that the phone hangs on."""

import re
from pathlib import Path
from shlex import join, quote

from harness.core.device import AdbDevice
from harness.core.errors import Unreachable
from harness.devices.link import CommandResult, Link

_PATIENCE_S = 30.0
_NO_PROGRAM = 127
# adb ends with 1 for reasons of its own, and old phones pass no exit code: the phone's shell says it in words.
_END = "\x1eharness-exit:"
_ENDING = re.compile(rb"\n?\x1eharness-exit:(\d{1,3})\r?\n?\Z")
_STATES = {
    "unauthorized": ("it does not trust this computer: accept the key on its screen", False),
    "no permissions": (
        "USB access is refused: add yourself to the group plugdev and udev rules for the phone",
        False,
    ),
    "closed": ("adb has lost it: see whether it is on, and its cable", True),
    "offline": ("adb calls it offline: plug it out and in", True),
}


class AdbLink:
    """`host` reaches the machine whose adb is used."""

    def __init__(self, device: AdbDevice, host: Link) -> None:
        self._serial = device.serial
        self._host = host

    def open(self) -> None:
        """The server is started first, apart: it would hold the pipes of the command that starts it."""
        self._host.open()
        started = self._host.execute("adb start-server >/dev/null 2>&1", _PATIENCE_S)
        if started.exit_code == _NO_PROGRAM:
            raise Unreachable(
                "there is no adb program to reach it: install Android's platform-tools",
                passing=False,
            )
        if re.fullmatch(
            r"[^:]+:\d+", self._serial
        ):  # over the network: a new server does not know it yet
            self._host.execute(join(["adb", "connect", self._serial]), _PATIENCE_S)
        state = self._host.execute(join(["adb", "-s", self._serial, "get-state"]), _PATIENCE_S)
        if state.exit_code != 0 or state.stdout.strip() != b"device":
            raise _refusal((state.stderr or state.stdout).decode(errors="replace"))

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        there = f"( {command}\n); printf '\\n{_END}%d\\n' $?"
        answer = self._host.execute(
            f"exec adb -s {quote(self._serial)} shell {quote(there)}", timeout_s, stdin=stdin
        )
        if (ending := _ENDING.search(answer.stdout)) is None:
            raise _refusal(
                answer.stderr.decode(errors="replace")
                or "the connection was lost in the middle of a command"
            )
        return CommandResult(int(ending[1]), answer.stdout[: ending.start()], stderr=answer.stderr)

    def close(self) -> None:
        self._host.close()


def _refusal(said: str) -> Unreachable:
    for sign, (message, passing) in _STATES.items():
        if sign in said:
            return Unreachable(message, passing=passing)
    last = (said.strip().splitlines() or ["no answer"])[-1]
    return Unreachable(f"adb: {last.removeprefix('error: ').removeprefix('adb: ').rstrip('.')}")


def list_phones(host: Link) -> list[tuple[str, str]]:
    """The serial and model of every phone that is ready there. Raises Unreachable where there is no adb."""
    host.open()
    answer = host.execute("adb start-server >/dev/null 2>&1 && adb devices -l", _PATIENCE_S)
    if answer.exit_code != 0:
        raise Unreachable(
            "there is no adb program that runs: install Android's platform-tools", passing=False
        )
    return parse_devices(answer.stdout.decode(errors="replace"))


def parse_devices(text: str) -> list[tuple[str, str]]:
    """What `adb devices -l` prints; the model is empty where it is not told."""
    found = (re.fullmatch(r"(\S+)\s+(device)\b(.*)", line) for line in text.splitlines())
    return [(one[1], _model(one[3])) for one in found if one]


def _model(words: str) -> str:
    found = re.search(r"\bmodel:(\S+)", words)
    return found[1] if found else ""
