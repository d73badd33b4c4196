"""The work of `harness doctor` and `harness db`. Each check is a function that returns a finding."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.cli.actions.session import Session, console
from harness.config.device_file import find_local_device, read_devices
from harness.core.errors import HarnessError
from harness.core.units import format_bytes
from harness.data import PUBLISHED, folders
from harness.fleet.device_check import DeviceAccess, check_device
from harness.report.terminal.tables import add_row, make_table
from harness.store.database import HEAD, describe_url, open_database
from harness.store.files.tools import ToolFiles
from harness.store.files.workspace import Workspace

_LEAST_FREE_BYTES = 2 * 10**9
_TRAINING = ("tensorflow", "tf-keras", "larq", "larq-compute-engine", "ray", "scikit-learn")


@dataclass(frozen=True)
class Finding:
    """`needed` is False for what only some uses need."""

    check: str
    ok: bool
    text: str
    needed: bool = True


def examine(workspace: Workspace, registry: Path) -> list[Finding]:
    checks: list[Callable[[], Finding]] = [
        _python,
        _training,
        lambda: _space(workspace),
        lambda: _database(workspace),
        lambda: _devices(registry),
        lambda: _tool(workspace, registry),
        _data_sets,
    ]
    return [check() for check in checks]


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = (3, 10) <= sys.version_info < (3, 13) and platform.system() == "Linux"
    return Finding(
        "Python", ok, text=found if ok else f"{found}: use Python 3.10, 3.11 or 3.12 on Linux"
    )


def _training() -> Finding:
    missing = [name for name in _TRAINING if _version(name) is None]
    if missing:
        return Finding(
            "training",
            False,
            text=f"not installed: {', '.join(missing)}; pip install 'bnn-harness[train]'",
            needed=False,
        )
    return Finding(
        "training", True, text=", ".join(f"{name} {_version(name)}" for name in _TRAINING)
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _space(workspace: Workspace) -> Finding:
    nearest = next(
        folder for folder in (workspace.home, *workspace.home.parents) if folder.exists()
    )
    free = shutil.disk_usage(nearest).free
    if not nearest.is_dir():
        return Finding("workspace", False, text=f"{nearest} is no folder; set HARNESS_HOME to one")
    if not os.access(nearest, os.W_OK):
        return Finding(
            "workspace",
            False,
            text=f"{workspace.home} can't be written; set HARNESS_HOME to a folder that can",
        )
    if free < _LEAST_FREE_BYTES:
        return Finding(
            "workspace",
            False,
            text=f"{workspace.home}: only {format_bytes(free)} free; make room, or set HARNESS_HOME elsewhere",
        )
    return Finding("workspace", True, text=f"{workspace.home}, {format_bytes(free)} free")


def _database(workspace: Workspace) -> Finding:
    try:
        open_database(workspace.database_url).dispose()
    except HarnessError as error:
        return Finding("database", False, text=str(error))
    return Finding("database", True, text=f"{describe_url(workspace.database_url)}, schema {HEAD}")


def _devices(registry: Path) -> Finding:
    if not registry.exists():
        return Finding(
            "devices",
            False,
            text=f"{registry} is not here; only this machine can be benchmarked",
            needed=False,
        )
    try:
        devices = read_devices(registry)
    except HarnessError as error:
        return Finding("devices", False, text=str(error))
    return Finding(
        "devices", True, text=f"{registry}: {', '.join(device.id for device in devices)}"
    )


def _tool(workspace: Workspace, registry: Path) -> Finding:
    try:
        device = find_local_device(registry)
        found = check_device(
            device,
            DeviceAccess(
                {device.id: device}, workspace, tools=ToolFiles(workspace.tools).newest_by_name()
            ),
        )
    except (HarnessError, OSError) as error:
        return Finding("tool on this machine", False, text=str(error), needed=False)
    if found.tool is None:
        return Finding("tool on this machine", False, text=str(found.failure), needed=False)
    over = f" over {found.tool.interpreter}" if found.tool.interpreter else ""
    return Finding("tool on this machine", True, text=f"{found.tool.name}{over}")


def _data_sets() -> Finding:
    here = {one.name: place for one in PUBLISHED if (place := one.find_folder())}
    missing = ", ".join(one.name for one in PUBLISHED if one.name not in here)
    found = (
        "; ".join(f"{name} in {place}" for name, place in here.items()) or "none on this machine"
    )
    if not missing:
        return Finding("data sets", True, text=found)
    offline = (
        f"put its files into {folders.folder_of('…')}"
        if folders.is_offline()
        else "fetched when it is needed"
    )
    return Finding("data sets", False, text=f"{found}; {missing}: {offline}", needed=False)


def doctor(registry: Path) -> int:
    """How many needed things are missing."""
    findings = examine(Session.here().workspace, registry)
    shown = make_table("check", "", "finding")
    for finding in findings:
        add_row(
            shown,
            finding.check,
            "ok" if finding.ok else "missing" if finding.needed else "absent",
            finding.text,
        )
    console().print(shown)
    return sum(finding.needed and not finding.ok for finding in findings)


def database_path() -> str:
    return describe_url(Session.here().workspace.database_url)


def upgrade_database() -> str:
    Session.here().engine.dispose()
    return f"The database is at schema {HEAD}."
