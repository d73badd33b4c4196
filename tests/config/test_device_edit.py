from pathlib import Path

import pytest

from harness.config.device_edit import add_entry, set_key
from harness.config.device_file import read_devices
from harness.core.device import AdbDevice, SshDevice
from harness.core.errors import ConfigError

REGISTRY = """\
# The lab's boards.
devices:
  - id: pi4        # on the top shelf
    kind: ssh
    host: pi4.lab
    tags: [cortex-a72]  # four cores

# The end.
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOYABlxDCzNC6z2DbvVyT2Jja5zQZXofft3sDKVX1pSp"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOYABlxDCzNC6z2DbvVyT2Jja5zQZXofft3sDKVXAAAA"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "devices.yaml"
    path.write_text(REGISTRY)
    return path


def comments_of(path: Path) -> list[str]:
    return [line.partition("#")[2].strip() for line in path.read_text().splitlines() if "#" in line]


def test_a_new_entry_preserves_comments(file: Path) -> None:
    before = comments_of(file)
    add_entry(
        file,
        {"id": "it's; a phone", "kind": "adb", "serial": "1A05", "via": "pi4", "tags": ["new"]},
    )
    assert read_devices(file)[1] == AdbDevice(
        id="it's; a phone", serial="1A05", via="pi4", tags=("new",)
    )
    assert comments_of(file) == before


def test_the_first_entry_creates_the_file(tmp_path: Path) -> None:
    add_entry(tmp_path / "new.yaml", {"id": "pi5", "kind": "ssh", "host": "pi5"})
    assert read_devices(tmp_path / "new.yaml") == (SshDevice(id="pi5", host="pi5"),)


def test_a_new_key_preserves_comments(file: Path) -> None:
    before = comments_of(file)
    set_key(
        file,
        "pi4",
        key="host_key",
        value=KEY,
    )
    (board,) = read_devices(file)
    assert isinstance(board, SshDevice)
    assert board.host_key == KEY
    assert comments_of(file) == before
    set_key(file, "pi4", key="host_key", value=OTHER_KEY)
    assert file.read_text().count("host_key") == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "pi4", "kind": "ssh", "host": "again"},
        {"id": "new", "kind": "ssh"},
        {"id": "new", "kind": "adb", "serial": "1", "via": "nowhere"},
    ],
    ids=["repeated id", "no host", "unknown hub"],
)
def test_a_wrong_entry_leaves_the_file_unchanged(file: Path, entry: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"devices\.yaml"):
        add_entry(file, entry)
    assert file.read_text() == REGISTRY
    assert [path.name for path in file.parent.iterdir()] == ["devices.yaml"]
