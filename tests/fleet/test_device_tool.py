"""The entry of a device and the added tools may rule out a tool before it is connected."""

from pathlib import Path

import pytest

from harness.core.device import AdbDevice, Device, LocalDevice, SshDevice
from harness.core.errors import CaseFailed, Reason
from harness.fleet.device_tool import refuse_missing_tool
from harness.store.files.tools import ToolFile, ToolFiles

BINARY = "lce_benchmark_model_x86_64"  # of this machine, as `cat` is


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, ToolFile]:
    files = ToolFiles(tmp_path)
    files.add(BINARY, Path("/bin/cat").read_bytes())
    files.add("script", b"#!/bin/sh\n")
    return files.newest_by_name()


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (SshDevice(id="board", host="h", tool="lost"), Reason.NO_INTERPRETER),
        (SshDevice(id="board", host="h", abi="aarch64", tool=BINARY), Reason.WRONG_ABI),
        (AdbDevice(id="phone", serial="1A05", abi="android-arm64"), Reason.NO_INTERPRETER),
    ],
)
def test_a_device_that_surely_gets_no_tool_is_refused(
    device: Device, reason: Reason, tools: dict[str, ToolFile]
) -> None:
    with pytest.raises(CaseFailed, match="add") as refused:
        refuse_missing_tool(device, tools)
    assert refused.value.reason is reason


def test_a_phone_has_no_python_of_its_own() -> None:
    with pytest.raises(CaseFailed, match="harness tools add lce_benchmark_model_android_arm64"):
        refuse_missing_tool(AdbDevice(id="phone", serial="1A05"), tools={})


@pytest.mark.parametrize(
    "device",
    [
        LocalDevice(id="here"),
        LocalDevice(id="here", abi="x86_64"),
        SshDevice(id="board", host="h", tool=BINARY),
        SshDevice(id="board", host="h", abi="aarch64"),
        SshDevice(id="board", host="h", abi="aarch64", tool="script"),
        AdbDevice(id="phone", serial="1A05"),
        AdbDevice(id="phone", serial="1A05", abi="android-arm64", tool="python_runner"),
        AdbDevice(id="phone", serial="1A05", abi="android-arm64", python="/termux/python"),
    ],
)
def test_a_device_that_may_get_a_tool_is_asked(device: Device, tools: dict[str, ToolFile]) -> None:
    refuse_missing_tool(device, tools)
