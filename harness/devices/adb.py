"""Android phones, over the `adb` program of this machine or of the hub that a phone hangs on."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join

from harness.core.device import AdbDevice
from harness.core.errors import LONGEST_QUOTE, Unreachable
from harness.core.exit_codes import NOT_EXECUTABLE, NOT_FOUND
from harness.devices.link import CommandResult, Link
from harness.devices.shell import has_begun, has_output, run_in_sh

_TIMEOUT_S = 30.0
_REFUSALS = {
    "unauthorized": ("it does not trust this computer: accept the key on its screen", False),
    "no permissions": (
        "USB access is denied: join the group plugdev and install udev rules for the phone",
        False,
    ),
    "closed": ("adb has lost the phone: check that it is on and its cable is plugged in", True),
    "more than one": (
        "several phones have this serial: set `serial` in its entry to its port, such as usb:1-2",
        False,
    ),
    "offline": ("adb reports it as offline: unplug it and plug it in again", True),
}
"""Words in adb's error message → what to do, and whether the state may pass by itself."""
_START_ANDROID = "it has not started Android: restart it with `adb reboot`"
_WAIT = "adb is still connecting to it: wait some seconds, and look at its screen"
_STATES = {
    "bootloader": _START_ANDROID,
    "recovery": _START_ANDROID,
    "rescue": _START_ANDROID,
    "sideload": _START_ANDROID,
    "authorizing": _WAIT,
    "connecting": _WAIT,
    "detached": "another program has detached it: run `adb attach`",
    "host": "it is not a phone but another computer's adb: unplug it",
}
"""Other states of adb (its adb.cpp, ConnectionState) → what to do."""
_READY = "device"
_KNOWN_STATES = frozenset({_READY, "offline", "unauthorized", "unknown", *_STATES})
_HEADING = "List of devices attached"
_MAX_CHARACTERS = 200_000  # a thousand phones
_PROPERTIES = ("usb:", "product:", "model:", "device:", "transport_id:")
_NO_SERIAL = re.compile(r"\?+|\(no serial number\)|no serial number")
_NETWORK_SERIAL = re.compile(r"(?!usb:)(?:\[[^\]]+\]|[^:]+):[0-9]{1,5}|[0-9]+(?:\.[0-9]+){3}")


@dataclass(frozen=True)
class AttachedPhone:
    """A phone in adb's list; `port` is such as `usb:1-2`, or empty over a network.

    `address` is what tells it from all others: its serial, or else its port, or else nothing.
    """

    serial: str
    state: str
    model: str
    port: str
    address: str

    @property
    def is_ready(self) -> bool:
        return self.state == _READY and self.address != ""

    @property
    def label(self) -> str:
        """The words that name the phone to people."""
        return f"{self.serial} ({self.port})" if self.port else self.serial

    @property
    def remedy(self) -> str:
        """The remedy for a phone that is not ready."""
        if self.state == _READY:
            return "its serial and port can't tell it from another phone: attach one at a time"
        for words, (message, _) in _REFUSALS.items():
            if self.state.startswith(words):
                return message
        return _STATES.get(self.state, f"adb reports it as {self.state}: unplug it and try again")


class AdbLink:
    """A link to a phone; `host` reaches the machine whose adb is used."""

    def __init__(self, device: AdbDevice, host: Link) -> None:
        self._serial = device.serial
        self._host = host

    def open(self) -> None:
        """Start adb's server and check that the phone is ready. Raises Unreachable."""
        self._host.open()
        _start_server(self._host)
        if _NETWORK_SERIAL.fullmatch(self._serial):  # a new server has no connection to it yet
            run_in_sh(self._host, join(["adb", "connect", self._serial]), timeout_s=_TIMEOUT_S)
        state = self._run_adb("get-state")
        name = state.stdout.decode(errors="replace").strip()
        if state.exit_code == 0 and name in _STATES:
            raise Unreachable(_STATES[name])
        if state.exit_code in (NOT_EXECUTABLE, NOT_FOUND):
            raise _explain_broken(state)
        if state.exit_code != 0 or name != _READY:
            raise _explain_refusal(state.stderr.decode(errors="replace") or name)

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a command line in the phone's shell, as `Link.execute`.

        Only the marks of `shell.py` show that the phone has answered. Old phones pass no exit code,
        and a failure of adb's own ends with 1.
        """
        result = self._run_adb("shell", command, timeout_s=timeout_s, stdin=stdin)
        if not has_output(result.stdout):
            printed = b"" if has_begun(result.stdout) else result.stdout
            error_text = (result.stderr or printed).decode(errors="replace")
            raise _explain_refusal(error_text or "the connection was lost during a command")
        return result

    def _run_adb(
        self, *arguments: str, timeout_s: float = _TIMEOUT_S, stdin: Path | None = None
    ) -> CommandResult:
        script = f"exec {join(['adb', '-s', self._serial, *arguments])}"
        return run_in_sh(self._host, script, timeout_s=timeout_s, stdin=stdin)

    def close(self) -> None:
        """Disconnect from the machine whose adb is used."""
        self._host.close()


def _start_server(host: Link) -> None:
    """Start adb's server, unless it runs. Raises Unreachable if the host has no adb.

    The server gets a command of its own: it would hold the pipes of the command that starts it.
    """
    script = "command -v adb >/dev/null || exit 127; adb start-server >/dev/null 2>&1; true"
    started = run_in_sh(host, script, timeout_s=_TIMEOUT_S)
    if started.exit_code == NOT_FOUND:
        raise Unreachable(
            "no adb program was found: install Android's platform-tools", passing=False
        )


def _explain_broken(result: CommandResult) -> Unreachable:
    """Return the error for an adb that fails by itself, whichever phones there are."""
    lines = (result.stderr or result.stdout).decode(errors="replace").strip().splitlines()
    cause = lines[-1][:LONGEST_QUOTE].rstrip(".") if lines else f"exit code {result.exit_code}"
    return Unreachable(
        f"adb does not work ({cause}): run `adb devices` there, and correct that",
        passing=False,
    )


def _explain_refusal(error_text: str) -> Unreachable:
    for words, (message, passing) in _REFUSALS.items():
        if words in error_text:
            return Unreachable(message, passing=passing)
    last_line = (error_text.strip().splitlines() or ["no answer"])[-1]
    reason = last_line.removeprefix("error: ").removeprefix("adb: ").rstrip(".")
    return Unreachable(f"adb: {reason}")


def list_phones(host: Link) -> list[AttachedPhone]:
    """Return the phones that are attached to the host, ready or not.

    Raises Unreachable if the host has no adb, or one that fails.
    """
    host.open()
    _start_server(host)
    result = run_in_sh(host, "adb devices -l", timeout_s=_TIMEOUT_S)
    if result.exit_code != 0:
        raise _explain_broken(result)
    return parse_devices(result.stdout.decode(errors="replace"))


def parse_devices(text: str) -> list[AttachedPhone]:
    """Parse the output of `adb devices -l`: one phone for each line of the list.

    A serial may hold any characters, blanks too. Without a serial, or with one that another phone
    has as well, a phone's address is its port.
    """
    lines = [line.strip() for line in text[:_MAX_CHARACTERS].split("\n")]
    if _HEADING in lines:
        lines = lines[lines.index(_HEADING) + 1 :]
    phones = [_parse_phone(line) for line in lines if line and not line.startswith("* daemon")]
    serials = Counter(phone.serial for phone in phones)
    ports = Counter(phone.port for phone in phones)
    return [_with_address(phone, serials, ports=ports) for phone in phones]


def _parse_phone(line: str) -> AttachedPhone:
    """Parse `SERIAL STATE KEY:VALUE…`; the first key after a known state ends the state.

    After a state that is not known, the first key does.
    """
    words = list(re.finditer(r"\S+", line))
    keys = [i for i in range(2, len(words)) if words[i][0].startswith(_PROPERTIES)]
    after_states = (i for i in keys if _ends_state(words[i - 1][0]))
    end = next(after_states, keys[0] if keys else len(words))
    start = _find_state([word[0] for word in words[:end]])
    properties = dict(word[0].partition(":")[::2] for word in words[end:])
    return AttachedPhone(
        line[: words[start].start()].rstrip() if start < end else line,
        line[words[start].start() : words[end - 1].end()] if start < end else "unknown",
        model=properties.get("model", ""),
        port=f"usb:{properties['usb']}" if "usb" in properties else "",
        address="",
    )


def _ends_state(word: str) -> bool:
    """Return whether a state may end with this word, as `no permissions (…); see […]` does."""
    return word in _KNOWN_STATES or word.endswith(("permissions", "]", ")"))


def _find_state(words: Sequence[str]) -> int:
    """Return the index where the state begins, which is 1 at least."""
    for index in range(1, len(words) - 1):
        if words[index] == "no" and words[index + 1].startswith("permissions"):
            return index
    return max(len(words) - 1, 1)


def _with_address(
    phone: AttachedPhone, serials: Mapping[str, int], ports: Mapping[str, int]
) -> AttachedPhone:
    is_unique = serials[phone.serial] == 1 and phone.serial not in ports
    if is_unique and not _NO_SERIAL.fullmatch(phone.serial):
        return replace(phone, address=phone.serial)
    return replace(phone, address=phone.port if ports[phone.port] == 1 else "")
