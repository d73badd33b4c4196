"""Other shells than this machine's own, as small boards and phones have them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def with_shell(name: str, folder: Path) -> Path:
    """The folder, to be first on PATH: `sh` is that one; busybox brings its own programs.

    Skips, or in CI fails, where it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(f"{name} is not installed (Debian and Ubuntu: apt install {name})")
    if name == "busybox":
        subprocess.run([found, "--install", "-s", folder], check=True)
    else:
        (folder / "sh").symlink_to(found)
    return folder
