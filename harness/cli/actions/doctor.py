"""The implementation of `harness doctor`."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.cli.actions.session import make_console
from harness.config.device_file import find_local_device, read_devices
from harness.core.errors import HarnessError
from harness.core.units import format_bytes
from harness.data import PUBLISHED, folders
from harness.fleet.device_check import DeviceAccess, check_device
from harness.report.terminal.tables import add_row, make_table
from harness.store.database import HEAD, close_database, describe_url, open_database
from harness.store.files.tools import ToolFiles
from harness.store.files.workspace import Workspace, format_path
from harness.training.processors import GPU_REMEDY, NO_DRIVER, describe_driver

_MIN_FREE_BYTES = 2 * 10**9
_TENSORFLOW_S = 120.0
_TRAINING = ("tensorflow", "tf-keras", "larq", "larq-compute-engine", "ray", "scikit-learn")


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `required` is False if only some commands need the subject."""

    subject: str
    ok: bool
    text: str
    required: bool = True


def run_checks(workspace: Workspace, registry: Path) -> list[CheckResult]:
    checks: list[Callable[[], CheckResult]] = [
        _check_python,
        _check_training,
        _check_processors,
        lambda: _check_workspace(workspace),
        lambda: _check_database(workspace),
        lambda: _check_devices(registry),
        lambda: _check_tool(workspace, registry),
        _check_data_sets,
    ]
    return [check() for check in checks]


def _pass(subject: str, text: str) -> CheckResult:
    return CheckResult(subject, ok=True, text=text)


def _fail(subject: str, text: str, *, required: bool = True) -> CheckResult:
    return CheckResult(subject, ok=False, text=text, required=required)


def _check_python() -> CheckResult:
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 10) <= sys.version_info < (3, 13) and platform.system() == "Linux":
        return _pass("Python", python)
    return _fail("Python", f"{python}: use Python 3.10, 3.11 or 3.12 on Linux")


def _check_training() -> CheckResult:
    versions = {name: _find_version(name) for name in _TRAINING}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        text = f"not installed: {', '.join(missing)}; run `pip install 'bnn-harness[train]'`"
        return _fail("training", text, required=False)
    return _pass("training", ", ".join(f"{name} {version}" for name, version in versions.items()))


def _check_processors() -> CheckResult:
    """Ask TensorFlow in another process: on some machines its import kills the process."""
    subject = "TensorFlow sees"
    if _find_version("tensorflow") is None:
        return _fail(subject, "TensorFlow is not installed", required=False)
    command = [sys.executable, "-m", "harness.training.processors"]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TENSORFLOW_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _fail(subject, f"no answer within {_TENSORFLOW_S:g} s", required=False)
    processors, driver = ended.stdout.strip(), describe_driver()
    if ended.returncode != 0:
        error = (ended.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        text = f"its import ended with {ended.returncode}: {error}"
        return _fail(subject, text, required=False)
    if driver != NO_DRIVER and "GPU" not in processors:
        text = f"{processors}, but no GPU ({driver}); run `{GPU_REMEDY}`"
        return _fail(subject, text, required=False)
    return _pass(subject, f"{processors} ({driver})")


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _check_workspace(workspace: Workspace) -> CheckResult:
    nearest = next(
        folder for folder in (workspace.home, *workspace.home.parents) if folder.exists()
    )
    free = shutil.disk_usage(nearest).free
    if not nearest.is_dir():
        text = f"{nearest} is not a folder; set HARNESS_HOME to a folder"
    elif not os.access(nearest, os.W_OK):
        text = (
            f"{format_path(workspace.home)} can't be written; set HARNESS_HOME to a writable folder"
        )
    elif free < _MIN_FREE_BYTES:
        text = (
            f"{format_path(workspace.home)}: only {format_bytes(free)} free; "
            "free some space, or set HARNESS_HOME to a folder on another disk"
        )
    else:
        return _pass("workspace", f"{format_path(workspace.home)}, {format_bytes(free)} free")
    return _fail("workspace", text)


def _check_database(workspace: Workspace) -> CheckResult:
    try:
        close_database(open_database(workspace.database_url))
    except HarnessError as error:
        return _fail("database", str(error))
    return _pass("database", f"{format_path(describe_url(workspace.database_url))}, schema {HEAD}")


def _check_devices(registry: Path) -> CheckResult:
    if not registry.exists():
        text = f"{registry} does not exist; only this machine can be benchmarked"
        return _fail("devices", text, required=False)
    try:
        devices = read_devices(registry)
    except HarnessError as error:
        return _fail("devices", str(error))
    return _pass("devices", f"{registry}: {', '.join(device.id for device in devices)}")


def _check_tool(workspace: Workspace, registry: Path) -> CheckResult:
    subject = "tool on this machine"
    tools = ToolFiles(workspace.tools).newest_by_name()
    try:
        device = find_local_device(registry)
        check = check_device(device, DeviceAccess({device.id: device}, workspace, tools=tools))
    except (HarnessError, OSError) as error:
        return _fail(subject, str(error), required=False)
    if check.tool is None:
        return _fail(subject, str(check.failure), required=False)
    interpreter = f" with {check.tool.interpreter}" if check.tool.interpreter else ""
    return _pass(subject, f"{check.tool.name}{interpreter}")


def _check_data_sets() -> CheckResult:
    folders_by_name: dict[str, Path] = {}
    missing = []
    for dataset in PUBLISHED:
        if folder := dataset.find_folder():
            folders_by_name[dataset.name] = folder
        else:
            missing.append(dataset.name)
    available = "; ".join(f"{name} in {folder}" for name, folder in folders_by_name.items())
    if not missing:
        return _pass("data sets", available)
    remedy = (
        f"put the files into {folders.folder_of('…')}"
        if folders.is_offline()
        else "downloaded when needed"
    )
    text = f"{available or 'none on this machine'}; {', '.join(missing)}: {remedy}"
    return _fail("data sets", text, required=False)


def doctor(registry: Path) -> int:
    """Print the result of each check, and return how many required ones failed."""
    results = run_checks(Workspace.from_environment(), registry)
    table = make_table("check", "", "result")
    for result in results:
        state = "ok" if result.ok else "missing" if result.required else "absent"
        add_row(table, result.subject, state, result.text)
    make_console().print(table)
    return sum(result.required and not result.ok for result in results)
