"""Shells of small boards and phones, in place of this machine's own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def find_shell(name: str) -> str:
    """Return the shell's path. Skip the test, or fail it in CI, if it is not installed."""
    if (program := shutil.which(name)) is not None:
        return program
    message = f"{name} is not installed (Debian and Ubuntu: apt install {name})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def install_shell(name: str, folder: Path) -> Path:
    """Make that shell `sh` in `folder`, which is to come first on PATH, and return the folder.

    Busybox brings its own programs.
    """
    program = find_shell(name)
    if name == "busybox":
        subprocess.run([program, "--install", "-s", folder], check=True)
    else:
        (folder / "sh").symlink_to(program)
    return folder
