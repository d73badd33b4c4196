"""Android phones, over the `adb` program of this machine or of the hub that a phone hangs on."""

import re
from pathlib import Path
from shlex import join, quote

from harness.core.device import AdbDevice
from harness.core.errors import Unreachable
from harness.devices.link import CommandResult, Link

_TIMEOUT_S = 30.0
_COMMAND_NOT_FOUND = 127
# adb itself also exits with 1, and old phones pass no exit code: the phone's shell prints it.
_EXIT_MARK = "\x1eharness-exit:"
_EXIT_LINE = re.compile(rb"\n?\x1eharness-exit:(\d{1,3})\r?\n?\Z")
_REFUSALS = {
    "unauthorized": ("it does not trust this computer: accept the key on its screen", False),
    "no permissions": (
        "USB access is denied: join the group plugdev and install udev rules for the phone",
        False,
    ),
    "closed": ("adb has lost the phone: check that it is on and its cable is plugged in", True),
    "offline": ("adb reports it as offline: unplug it and plug it in again", True),
}
"""Words in adb's error message → what to do, and whether the state may pass by itself."""


class AdbLink:
    """A link to a phone; `host` reaches the machine whose adb is used."""

    def __init__(self, device: AdbDevice, host: Link) -> None:
        self._serial = device.serial
        self._host = host

    def open(self) -> None:
        """Start adb's server and check that the phone is ready. Raises Unreachable.

        The server gets a command of its own: it would hold the pipes of the command that starts it.
        """
        self._host.open()
        started = self._host.execute("adb start-server >/dev/null 2>&1", _TIMEOUT_S)
        if started.exit_code == _COMMAND_NOT_FOUND:
            raise Unreachable(
                "no adb program was found: install Android's platform-tools", passing=False
            )
        is_network_serial = re.fullmatch(r"[^:]+:\d+", self._serial)
        if is_network_serial:  # a new server has no connection to it yet
            self._host.execute(join(["adb", "connect", self._serial]), _TIMEOUT_S)
        state = self._host.execute(join(["adb", "-s", self._serial, "get-state"]), _TIMEOUT_S)
        if state.exit_code != 0 or state.stdout.strip() != b"device":
            raise _explain_refusal((state.stderr or state.stdout).decode(errors="replace"))

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a line of POSIX shell on the phone, as `Link.execute`."""
        marked = f"( {command}\n); printf '\\n{_EXIT_MARK}%d\\n' $?"
        result = self._host.execute(
            f"exec adb -s {quote(self._serial)} shell {quote(marked)}", timeout_s, stdin=stdin
        )
        if (exit_line := _EXIT_LINE.search(result.stdout)) is None:
            raise _explain_refusal(
                result.stderr.decode(errors="replace") or "the connection was lost during a command"
            )
        stdout = result.stdout[: exit_line.start()]
        return CommandResult(int(exit_line[1]), stdout, stderr=result.stderr)

    def close(self) -> None:
        """Disconnect from the machine whose adb is used."""
        self._host.close()


def _explain_refusal(error_text: str) -> Unreachable:
    for words, (message, passing) in _REFUSALS.items():
        if words in error_text:
            return Unreachable(message, passing=passing)
    last_line = (error_text.strip().splitlines() or ["no answer"])[-1]
    reason = last_line.removeprefix("error: ").removeprefix("adb: ").rstrip(".")
    return Unreachable(f"adb: {reason}")


def list_phones(host: Link) -> list[tuple[str, str]]:
    """Return the serial and model of each phone that is ready on the host.

    Raises Unreachable if the host has no adb.
    """
    host.open()
    result = host.execute("adb start-server >/dev/null 2>&1 && adb devices -l", _TIMEOUT_S)
    if result.exit_code != 0:
        raise Unreachable(
            "no working adb program was found: install Android's platform-tools", passing=False
        )
    return parse_devices(result.stdout.decode(errors="replace"))


def parse_devices(text: str) -> list[tuple[str, str]]:
    """Parse the output of `adb devices -l`: the serial and model of each phone that is ready.

    The model is empty if adb does not report it.
    """
    phones = []
    for line in text.splitlines():
        if match := re.fullmatch(r"(\S+)\s+(device)\b(.*)", line):
            phones.append((match[1], _parse_model(match[3])))
    return phones


def _parse_model(properties: str) -> str:
    model = re.search(r"\bmodel:(\S+)", properties)
    return model[1] if model else ""
