"""The parsing of the adb program's output; `tests/lab` has the program itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.device import AdbDevice
from harness.core.errors import Unreachable
from harness.devices.adb import AdbLink, parse_devices
from harness.devices.link import CommandResult

WORD = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789_.:-", min_size=1, max_size=20)
LISTED = """\
List of devices attached
emulator-5554          device product:sdk_gphone64_arm64 model:sdk_gphone64_arm64 \
device:emu64a transport_id:1
8A2X0L3HM              unauthorized usb:1-4 transport_id:2
192.168.1.20:5555      offline product:x model:Pixel_1 transport_id:3
R58M123ABCD            device usb:1-1 product:beyond1 model:SM_G973F device:beyond1 transport_id:4
0123456789             no permissions (user in plugdev group; are your udev rules wrong?); see [http://a.b/c]

"""


class FixedHost:
    """A link to a machine whose adb gives the same result for every command."""

    def __init__(self, result: CommandResult) -> None:
        self.result = result
        self.commands: list[str] = []

    def open(self) -> None:
        pass

    def execute(self, command: str, timeout_s: float, stdin: object = None) -> CommandResult:
        self.commands.append(command)
        return self.result

    def close(self) -> None:
        pass


def test_ready_phones_are_listed_with_their_models() -> None:
    assert parse_devices(LISTED) == [
        ("emulator-5554", "sdk_gphone64_arm64"),
        ("R58M123ABCD", "SM_G973F"),
    ]


@given(
    st.lists(
        st.tuples(
            WORD,
            WORD,
            st.booleans(),
            st.sampled_from(["device", "offline", "unauthorized", "host"]),
        )
    )
)
def test_every_ready_phone_is_found_among_others(phones: list[tuple[str, str, bool, str]]) -> None:
    lines = [
        f"{serial:<22} {state} usb:1-1 transport_id:1"
        + (f" model:{model} device:x" if has_model else "")
        for serial, model, has_model, state in phones
    ]
    printed = "\n".join(["* daemon started successfully", "List of devices attached", *lines, ""])
    expected = [
        (serial, model if has_model else "")
        for serial, model, has_model, state in phones
        if state == "device"
    ]
    assert parse_devices(printed) == expected


@given(st.text())
def test_arbitrary_text_lists_no_unknown_phone_and_raises_no_error(text: str) -> None:
    for serial, _ in parse_devices(text):
        assert serial in text


@pytest.mark.parametrize(
    ("stderr", "message", "passing"),
    [
        (
            "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n",
            "accept the key",
            False,
        ),
        ("error: device offline\n", "offline", True),
        ("error: device 'R58M' not found\n", "device 'R58M' not found", True),
        (
            "error: insufficient permissions for device: no permissions (user in plugdev?)",
            "udev",
            False,
        ),
        (
            "adb: failed to check server version: cannot connect to daemon\n",
            "cannot connect to daemon",
            True,
        ),
        ("", "no answer", True),
    ],
)
def test_an_unusable_phone_gives_a_reason(stderr: str, message: str, *, passing: bool) -> None:
    link = AdbLink(
        AdbDevice(id="phone", serial="R58M"),
        FixedHost(CommandResult(1, b"", stderr=stderr.encode())),
    )
    with pytest.raises(Unreachable, match=message) as refused:
        link.open()
    assert refused.value.passing is passing


def test_a_machine_without_adb_gets_an_install_hint() -> None:
    link = AdbLink(
        AdbDevice(id="phone", serial="R58M"),
        FixedHost(CommandResult(127, b"", stderr=b"sh: adb: not found")),
    )
    with pytest.raises(Unreachable, match="platform-tools") as refused:
        link.open()
    assert not refused.value.passing


@given(st.binary(), st.integers(0, 255))
def test_the_exit_code_is_read_after_any_output(printed: bytes, code: int) -> None:
    result = CommandResult(0, printed + b"\n\x1eharness-exit:%d\n" % code, stderr=b"")
    parsed = AdbLink(AdbDevice(id="phone", serial="a b"), FixedHost(result)).execute("true", 1)
    assert (parsed.exit_code, parsed.stdout) == (code, printed)


def test_a_serial_is_always_passed_and_quoted() -> None:
    host = FixedHost(CommandResult(0, b"\n\x1eharness-exit:0\n", stderr=b""))
    AdbLink(AdbDevice(id="phone", serial="a b;c"), host).execute("true", 1)
    assert "adb -s 'a b;c' shell" in host.commands[0]
