from pathlib import Path

import pytest

from harness.config.device_file import THIS_MACHINE, find_local_device, read_devices, select_devices
from harness.core.device import LocalDevice, SshDevice
from harness.core.errors import ConfigError

TWO = """\
devices:
  - {id: here, kind: local, tags: [desk, x86], timeout_s: 90}
  - id: there
    kind: local
    enabled: false
"""


def registry(folder: Path, text: str) -> Path:
    path = folder / "devices.yaml"
    path.write_text(text)
    return path


def test_devices_are_read_in_order_including_disabled_ones(tmp_path: Path) -> None:
    assert read_devices(registry(tmp_path, TWO)) == (
        LocalDevice(id="here", tags=("desk", "x86"), timeout_s=90.0),
        LocalDevice(id="there", enabled=False),
    )


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        pytest.param(TWO.replace("id: there", "id: here"), ":3", "devices.1.id", id="repeated id"),
        pytest.param(
            TWO + "  - {id: dove, kind: carrier_pigeon}\n", ":6", "devices.2", id="unknown kind"
        ),
        pytest.param(TWO + "    colour: red\n", ":6", "devices.1", id="unknown key"),
        pytest.param(TWO + "colour: red\n", ":6", "colour", id="unknown key at the top"),
        pytest.param(TWO.replace("id: there", "id: ''"), ":3", "devices.1", id="empty id"),
        pytest.param(TWO.replace("id: there", "tags: []"), ":3", "devices.1", id="id missing"),
        pytest.param(
            TWO.replace("enabled: false", "enabled: maybe"),
            ":5",
            "devices.1",
            id="neither true nor false",
        ),
        pytest.param(
            TWO.replace("timeout_s: 90", "timeout_s: 0"), ":2", "devices.0", id="a limit of 0"
        ),
        pytest.param(
            TWO.replace("[desk, x86]", "desk"), ":2", "devices.0", id="tags that are no list"
        ),
        pytest.param("devices: []\n", ":1", "devices", id="no devices"),
        pytest.param("devices:\n", ":1", "devices", id="devices without a value"),
        pytest.param("devices: [here]\n", ":1", "devices.0", id="a string for a device"),
        pytest.param("- {id: here, kind: local}\n", ":1", "", id="list at the top"),
        pytest.param("{}\n", "", "devices is missing", id="an empty mapping"),
    ],
)
def test_a_wrong_registry_is_refused_with_its_file_line_and_key(
    tmp_path: Path, text: str, line: str, key: str
) -> None:
    path = registry(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_devices(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{line}: {key}")
    assert message.endswith(".")
    assert "\n" not in message


PHONE = "{id: a, kind: adb, serial: '1A'}"
HUB = "{id: hub, kind: ssh, host: hub}"
BOARD = "{id: a, kind: ssh, host: pi4.lab}"


@pytest.mark.parametrize(
    ("entries", "key"),
    [
        ([PHONE, PHONE.replace("id: a", "id: b")], "devices.1.serial"),
        ([BOARD, BOARD.replace("id: a", "id: b")], "devices.1.host"),
        (
            [BOARD, "{id: b, kind: ssh, host: PI4.lab., port: 22, user: pi}"],
            "devices.1.host",
        ),
        ([BOARD, HUB, BOARD.replace("id: a", "id: b")], "devices.2.host"),
        (
            [BOARD.replace("pi4.lab", "'::1'"), "{id: b, kind: ssh, host: '0:0::1'}"],
            "devices.1.host",
        ),
        (
            [PHONE.replace("1A", "10.0.0.1:5555"), "{id: b, kind: adb, serial: 10.0.0.1}"],
            "devices.1.serial",
        ),
        (
            [PHONE.replace("1A", "[::1]:5556"), "{id: b, kind: adb, serial: '[0::1]:5556'}"],
            "devices.1.serial",
        ),
        (
            [PHONE.replace("1A", "phone:5555"), "{id: b, kind: adb, serial: phone}"],
            "devices.1.serial",
        ),
    ],
)
def test_a_device_that_stands_twice_is_refused_with_both_entries(
    tmp_path: Path, entries: list[str], key: str
) -> None:
    text = "devices:\n" + "".join(f"  - {entry}\n" for entry in entries)
    with pytest.raises(ConfigError, match=f"{key} makes 'b' the same device as 'a'; remove one"):
        read_devices(registry(tmp_path, text))


@pytest.mark.parametrize(
    "entries",
    [
        [HUB, PHONE, "{id: b, kind: adb, serial: '1A', via: hub}"],
        [BOARD, BOARD.replace("id: a", "id: b").replace("}", ", port: 2222}")],
        [BOARD, HUB, BOARD.replace("id: a", "id: b").replace("}", ", jump: hub}")],
        [BOARD, BOARD.replace("id: a", "id: b").replace("}", ", folder: /srv/b}")],
    ],
    ids=["another hub", "another port", "another network", "a folder of its own"],
)
def test_devices_in_different_places_may_share_a_name(tmp_path: Path, entries: list[str]) -> None:
    text = "devices:\n" + "".join(f"  - {entry}\n" for entry in entries)
    assert len(read_devices(registry(tmp_path, text))) == len(entries)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("pi4.lab", ("pi4.lab", None, None)),
        ("pi@pi4.lab", ("pi4.lab", "pi", None)),
        ("pi4.lab:2222", ("pi4.lab", None, 2222)),
        ("pi@10.0.0.7:2222", ("10.0.0.7", "pi", 2222)),
        ("fe80::1%eth0", ("fe80::1%eth0", None, None)),
        ("pi@[fe80::1]:2222", ("fe80::1", "pi", 2222)),
        ("ssh://pi@pi4.lab", ("pi4.lab", "pi", None)),
    ],
)
def test_a_host_may_name_its_user_and_port(
    tmp_path: Path, host: str, address: tuple[str, str | None, int | None]
) -> None:
    text = f"devices: [{{id: a, kind: ssh, host: '{host}'}}]\n"
    (device,) = read_devices(registry(tmp_path, text))
    assert isinstance(device, SshDevice)
    assert (device.host, device.user, device.port) == address


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("host: 'pi4 lab'", "devices.0.host is 'pi4 lab', but must be a host name or address"),
        ("host: '-oProxyCommand=x'", "devices.0.host is"),
        ("host: 'pi4:ssh'", "'ssh' is not a port from 1 to 65535"),
        ("host: 'pi4:70000'", "'70000' is not a port from 1 to 65535"),
        ("host: '*'", "'*' is neither a host name nor an address"),
        ("host: 'fe80::1:zz'", "devices.0.host is"),
        ("host: 'pi@pi4', user: root", "names the user 'pi', but user is 'root'; remove one"),
        ("host: 'pi4:22', port: 23", "names the port 22, but port is 23; remove one"),
        ("host: pi4, jump: 'gate way'", "devices.0.jump is 'gate way', but must be"),
        ("host: pi4, jump: a", "leads back to 'a'"),
        ("host: pi4, host_key: 'ssh-ed25519 AAAA'", "devices.0.host_key is not a public key"),
    ],
)
def test_a_host_that_ssh_could_not_reach_is_refused(
    tmp_path: Path, keys: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_devices(registry(tmp_path, f"devices: [{{id: a, kind: ssh, {keys}}}]\n"))
    assert message in str(caught.value)


def test_a_missing_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_devices(tmp_path / "devices.yaml")


def test_this_machine_is_called_here_without_a_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_local_device(Path("devices.yaml")) == THIS_MACHINE == LocalDevice(id="here")


def test_a_registry_that_the_user_names_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        find_local_device(tmp_path / "devices.yaml")


def test_the_first_enabled_local_device_is_this_machine(tmp_path: Path) -> None:
    text = (
        "devices:\n"
        "  - {id: old, kind: local, enabled: false}\n"
        "  - {id: desk, kind: local, tags: [x86]}\n"
    )
    assert find_local_device(registry(tmp_path, text)) == LocalDevice(id="desk", tags=("x86",))


def test_a_disabled_local_device_is_not_this_machine(tmp_path: Path) -> None:
    text = "devices:\n  - {id: old, kind: local, enabled: false}\n"
    assert find_local_device(registry(tmp_path, text)) == THIS_MACHINE


def test_a_wrong_registry_is_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        find_local_device(registry(tmp_path, "devices: []\n"))


def test_devices_are_selected_by_id_in_the_order_given(tmp_path: Path) -> None:
    devices = read_devices(registry(tmp_path, TWO))
    assert [device.id for device in select_devices(devices, ["there", "here"])] == ["there", "here"]


def test_an_unknown_device_is_refused_with_a_list_of_the_others(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="Device 'pi9' is not registered; choose from: here, there"
    ):
        select_devices(read_devices(registry(tmp_path, TWO)), ["here", "pi9"])
