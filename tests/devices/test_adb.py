"""The parsing of the adb program's output; `tests/lab` has the program itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.device import AdbDevice
from harness.core.errors import Unreachable
from harness.devices.adb import AdbLink, list_phones, parse_devices
from harness.devices.link import CommandResult
from tests.processor_time import bounded_time

SERIAL = (
    st.text("abcXYZ019?_.:-() []%", min_size=1, max_size=30)
    .map(str.strip)
    .filter(lambda serial: serial and not serial.startswith("* "))
)
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
        self.scripts: list[str] = []

    def open(self) -> None:
        pass

    def execute(self, command: str, timeout_s: float, stdin: object = None) -> CommandResult:
        """Answer as `sh` does, between the marks in the command."""
        sent = re.search(r" sh (harness-\w+) (-\w+) '(.*)'$", command)
        assert sent is not None
        self.scripts.append(re.sub(r"\\0(\d{3})", lambda octal: chr(int(octal[1], 8)), sent[3]))
        name = (sent[1] + sent[2]).encode()
        output = b"%b=%d" % (self.result.stdout, self.result.exit_code)
        errors = self.result.stderr + b"="
        return CommandResult(
            0,
            b"%b<%d:%b%b>" % (name, len(output), output, name),
            stderr=b"%b(%d:%b%b)" % (name, len(errors), errors, name),
        )

    def close(self) -> None:
        pass


def test_every_line_is_a_phone_with_its_state_and_remedy() -> None:
    phones = parse_devices(LISTED)
    assert [(phone.serial, phone.model, phone.is_ready) for phone in phones] == [
        ("emulator-5554", "sdk_gphone64_arm64", True),
        ("8A2X0L3HM", "", False),
        ("192.168.1.20:5555", "Pixel_1", False),
        ("R58M123ABCD", "SM_G973F", True),
        ("0123456789", "", False),
    ]
    remedies = [phone.remedy for phone in phones if not phone.is_ready]
    for remedy, word in zip(remedies, ["accept the key", "unplug", "udev rules"], strict=True):
        assert word in remedy


@pytest.mark.parametrize(
    ("line", "serial", "state", "address"),
    [
        (
            "adb-R5-x (2)._adb-tls-connect._tcp device product:p transport_id:4",
            None,
            "device",
            None,
        ),
        ("[fe80::1%wlan0]:5555 device product:p model:m", None, "device", None),
        ("a  b device usb:1-1", None, "device", None),
        ("my device offline transport_id:1", "my device", "offline", None),
        ("host device device usb:1-1 product:a b", "host device", "device", None),
        ("(no serial number) device usb:1-4.2 product:p", None, "device", "usb:1-4.2"),
        ("(no serial number) device product:p", None, "device", ""),
        (
            "???????????? no permissions (verify udev rules); see [http://x/y] usb:1-4",
            None,
            "no permissions (verify udev rules); see [http://x/y]",
            "usb:1-4",
        ),
        ("???? no permissions usb:3", None, "no permissions", "usb:3"),
        ("R58 no permissions; see [http://x]", None, "no permissions; see [http://x]", None),
        ("R58 hibernating", None, "hibernating", None),
        ("R58", "R58", "unknown", None),
        ("R58 recovery usb:1-1 transport_id:3", None, "recovery", None),
        ("R58 hibernating usb:1-1 transport_id:3", None, "hibernating", None),
    ],
)
def test_a_serial_may_hold_anything(
    line: str, serial: str | None, state: str, address: str | None
) -> None:
    (phone,) = parse_devices(f"List of devices attached\n{line}\n\n")
    expected = serial if serial is not None else line.partition(f" {state}")[0]
    assert (phone.serial, phone.state) == (expected, state)
    assert phone.address == (address if address is not None else expected)
    assert phone.is_ready == (state == "device" and phone.address != "")


def test_phones_with_one_serial_are_told_apart_by_their_ports() -> None:
    twins = "0123 device usb:1-2\n0123 device usb:1-3\n0123 device\n0123 device\n"
    addresses = [phone.address for phone in parse_devices(twins)]
    assert addresses == ["usb:1-2", "usb:1-3", "", ""]
    assert "one at a time" in parse_devices(twins)[2].remedy


def test_a_serial_that_is_the_port_of_another_phone_is_no_address() -> None:
    phones = parse_devices("usb:1-4 device usb:1-3\n0123 device usb:1-4\n")
    assert [phone.address for phone in phones] == ["usb:1-3", "0123"]


@given(
    st.lists(
        st.tuples(
            SERIAL,
            WORD,
            st.booleans(),
            st.sampled_from(["device", "offline", "unauthorized", "host"]),
        )
    )
)
def test_every_phone_is_found(phones: list[tuple[str, str, bool, str]]) -> None:
    lines = [
        f"{serial:<22} {state} usb:1-1"
        + (f" model:{model} device:x" if has_model else "")
        + " transport_id:1"
        for serial, model, has_model, state in phones
    ]
    printed = "\n".join(["* daemon started successfully", "List of devices attached", *lines, ""])
    assert [(phone.serial, phone.model, phone.state) for phone in parse_devices(printed)] == [
        (serial, model if has_model else "", state) for serial, model, has_model, state in phones
    ]


@given(st.text())
def test_arbitrary_text_lists_no_unknown_phone_and_raises_no_error(text: str) -> None:
    for phone in parse_devices(text):
        assert phone.serial in text


@pytest.mark.parametrize("filler", [" ", "a ", "no permissions ", "usb:1 ", "device\n", "x\n"])
def test_a_long_list_is_read_quickly(filler: str) -> None:
    with bounded_time():
        parse_devices("List of devices attached\nx" + filler * (50_000 // len(filler)))


@pytest.mark.parametrize(
    ("serial", "connects"),
    [
        ("192.168.1.20:5555", True),
        ("pixel.lab:5555", True),
        ("[fe80::1]:5555", True),
        ("192.168.1.20", True),
        ("R58M", False),
        ("usb:3", False),
        ("usb:1-2", False),
    ],
)
def test_only_a_phone_in_the_network_is_connected_to(serial: str, *, connects: bool) -> None:
    host = FixedHost(CommandResult(0, b"device\n", stderr=b""))
    AdbLink(AdbDevice(id="phone", serial=serial), host).open()
    assert any("adb connect" in script for script in host.scripts) == connects


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
        ("error: more than one device\n", "its port", False),
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


def test_an_adb_that_fails_is_quoted() -> None:
    words = b"adb: error while loading shared libraries: libusb-1.0.so.0: cannot open"
    with pytest.raises(Unreachable, match=r"libusb-1\.0") as refused:
        list_phones(FixedHost(CommandResult(1, b"", stderr=words)))
    assert "install" not in str(refused.value)


def test_a_serial_is_always_passed_and_quoted() -> None:
    answer = b"harness-0123456789abcdef-0123456789abcdef>0\n"  # that of the phone's shell
    host = FixedHost(CommandResult(0, answer, stderr=b""))
    result = AdbLink(AdbDevice(id="phone", serial="a b;c"), host).execute("true", 1)
    assert result.stdout == answer
    assert "adb -s 'a b;c' shell" in host.scripts[0]


def test_a_phone_that_has_not_answered_is_told() -> None:
    host = FixedHost(CommandResult(1, b"", stderr=b"error: device offline\n"))
    with pytest.raises(Unreachable, match="offline"):
        AdbLink(AdbDevice(id="phone", serial="R58M"), host).execute("true", 1)


def test_a_phone_that_is_unplugged_during_a_command_is_told_without_our_marks() -> None:
    begun = b"harness-0123456789abcdef-0123456789abcdef:\n"
    host = FixedHost(CommandResult(1, begun, stderr=b""))
    with pytest.raises(Unreachable, match="connection was lost during a command"):
        AdbLink(AdbDevice(id="phone", serial="R58M"), host).execute("true", 1)
