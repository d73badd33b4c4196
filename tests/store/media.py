"""Workspaces as they lie on media that people read them from."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.core.device import LocalDevice
from harness.store.database import open_database
from harness.store.files.workspace import sqlite_url
from harness.store.rows.devices import DeviceRows

_MOUNT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def suffixed(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def leave_as_killed(file: Path, *, with_index: bool = True) -> None:
    """Leave the database as a killed process would: with one more row, which is in its log alone.

    The log's index can be missing, as in a copy of the file and the log.
    """
    engine = open_database(sqlite_url(file))
    DeviceRows(engine).mark_ready(LocalDevice(id="late"), {})
    paths = [suffixed(file, suffix) for suffix in ("", "-wal", *(["-shm"] if with_index else []))]
    for path in paths:
        shutil.copy(path, suffixed(path, ".kept"))
    engine.dispose()
    for path in paths:
        suffixed(path, ".kept").replace(path)


def run_read_only(
    argv: Sequence[str], folder: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a command for which the folder is read-only.

    Root may write anywhere, and therefore gets a read-only mount of its own.
    """
    paths = [folder, *folder.iterdir()]
    prefix = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(folder)]
    is_root = os.geteuid() == 0
    if is_root and subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("root has no right to mount here")
    if not is_root:
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
    try:
        return subprocess.run(
            [*(prefix if is_root else []), *argv],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)
