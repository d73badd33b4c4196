"""A check of devices shows every device, whatever the check of another one raises."""

import re
from pathlib import Path

import pytest

from harness.core.device import AdbDevice, Device, LocalDevice
from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.fleet.device_check import DeviceAccess, DeviceCheck, check_device, map_devices
from harness.store.files.tools import ToolFiles
from harness.store.files.workspace import Workspace

BROKEN = "broken"
DEVICES = [LocalDevice(id=id) for id in ("first", BROKEN, "last")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnicodeDecodeError("utf-8", b"\xfc", 0, 1, "invalid start byte"), Reason.BUG),
        (KeyboardInterrupt(), Reason.BUG),
        (SystemExit(3), Reason.BUG),
        (Unreachable("device broken: it is off."), Reason.UNREACHABLE),
    ],
)
def test_what_one_device_raises_affects_no_other(error: BaseException, reason: Reason) -> None:
    def work(device: Device) -> str:
        if device.id == BROKEN:
            raise error
        return device.id

    results = [result for _, result in map_devices(DEVICES, work)]
    assert (results[0], results[2]) == ("first", "last")
    failure = results[1]
    assert isinstance(failure, CaseFailed)
    assert failure.reason is reason
    assert "broken" in str(failure)


def test_an_error_that_nobody_foresaw_is_a_bug_with_a_traceback(tmp_path: Path) -> None:
    """The registry's reader refuses a phone whose hub it lacks, hence a registry without one."""
    access = DeviceAccess({}, Workspace(tmp_path), tools={})
    check = check_device(AdbDevice(id="phone", serial="1A05", via="hub"), access)
    assert isinstance(check, DeviceCheck)
    assert check.failure is not None
    assert check.failure.reason is Reason.BUG
    assert "KeyError" in str(check.failure)
    assert "Traceback" in check.failure.log


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/nowhere/sh\r\n", r"tool: /nowhere/sh\^M: bad interpreter.*correct the first line"),
        ("#!/bin/sh\necho 'tool: symbol lookup error: x'; exit 127", "symbol lookup.*that library"),
        ("#!/bin/sh\necho 'no such core'; kill -SEGV $$", r"crashes .*\(SIGSEGV: no such core\)"),
    ],
)
def test_a_tool_that_does_not_start_is_quoted(tmp_path: Path, script: str, message: str) -> None:
    tool = ToolFiles(tmp_path / "tools").add("tool", script.encode())
    access = DeviceAccess({}, Workspace(tmp_path / "workspace"), tools={"tool": tool})
    check = check_device(LocalDevice(id="here", tool="tool"), access)
    assert re.search(message, str(check.failure))
