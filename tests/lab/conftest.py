"""Fixtures for the lab."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config.device_file import read_devices
from harness.core.device import Device
from tests.harness_cli import Cli
from tests.lab.lab import TOOL, Lab, find_real_tool
from tests.sshd import find_free_port


@pytest.fixture(scope="session")
def lab(repository: Path) -> Iterator[Lab]:
    if os.geteuid() != 0:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("The lab creates network namespaces and mounts: run `make lab` as root.")
    lab = Lab(repository / ".lab")
    with lab.in_use():
        yield lab


@pytest.fixture(scope="session")
def registry(lab: Lab) -> dict[str, Device]:
    return {device.id: device for device in read_devices(lab.devices_file)}


@pytest.fixture
def cli(lab: Lab, tmp_path: Path) -> Cli:
    """The command with its own workspace, on the lab's devices."""
    cli = Cli(tmp_path / "workspace", {"HARNESS_DEVICES": str(lab.devices_file)})
    if (tool := find_real_tool()) is not None:
        assert cli.run("tools", "add", TOOL, "--file", tool).returncode == 0
    return cli


@pytest.fixture
def own_adb(cli: Cli) -> Iterator[Cli]:
    """The command with its own adb server, which a test may kill."""
    port = str(find_free_port())
    with_server = Cli(cli.home, {**cli.settings, "ANDROID_ADB_SERVER_PORT": port})
    yield with_server
    subprocess.run(
        ["adb", "kill-server"], env=with_server.environment, capture_output=True, check=False
    )
