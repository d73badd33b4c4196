"""Shells of small boards and phones, in place of this machine's own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def install_shell(name: str, folder: Path) -> Path:
    """Make that shell `sh` in `folder`, which is to come first on PATH, and return the folder.

    Busybox brings its own programs. Skip the test, or fail it in CI, if the shell is not installed.
    """
    program = shutil.which(name)
    if program is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(f"{name} is not installed (Debian and Ubuntu: apt install {name})")
    if name == "busybox":
        subprocess.run([program, "--install", "-s", folder], check=True)
    else:
        (folder / "sh").symlink_to(program)
    return folder
