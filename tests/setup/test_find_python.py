"""`make` finds a suitable Python, or reports the missing package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

Pythons = dict[str, str]


def run_find_python(
    repository: Path, folder: Path, pythons: Pythons
) -> "subprocess.CompletedProcess[str]":
    """Run tools/find-python with only these programs on PATH, each the body of a shell script."""
    for name, body in pythons.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    shell = shutil.which("sh")
    assert shell is not None
    command = [shell, str(repository / "tools" / "find-python")]
    return subprocess.run(
        command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


REAL = f'exec {sys.executable} "$@"'
TOO_OLD = "exit 1"
NO_VENV = f'case "$2" in *ensurepip*) exit 1;; esac; {REAL}'


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        ({"python3": REAL}, "python3"),
        ({"python3": TOO_OLD, "python3.10": REAL}, "python3.10"),
        ({"python3.12": NO_VENV, "python3.11": REAL}, "python3.11"),
    ],
)
def test_the_first_suitable_python_is_chosen(
    repository: Path, tmp_path: Path, pythons: Pythons, expected: str
) -> None:
    completed = run_find_python(repository, tmp_path, pythons=pythons)
    assert (completed.returncode, completed.stdout.strip()) == (0, str(tmp_path / expected)), (
        completed.stderr
    )


@pytest.mark.parametrize(
    ("pythons", "message"),
    [
        ({}, "Python 3.10, 3.11 or 3.12 is needed"),
        ({"python3": TOO_OLD}, "Python 3.10, 3.11 or 3.12 is needed"),
        ({"python3.11": NO_VENV}, "apt install python3-venv"),
    ],
)
def test_the_missing_package_is_reported(
    repository: Path, tmp_path: Path, pythons: Pythons, message: str
) -> None:
    completed = run_find_python(repository, tmp_path, pythons=pythons)
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert message in completed.stderr


def test_constraints_pin_compatible_versions(repository: Path) -> None:
    pins = dict(
        line.split(" ;")[0].split("==")
        for line in (repository / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert pins["larq"] == "0.14.0"
    assert pins["larq-compute-engine"] == "0.16.0"
    assert pins["numpy"].startswith("1.26.")
    assert int(pins["pyarrow"].split(".")[0]) < 22
    assert pins["tensorflow"].rsplit(".", 1)[0] == pins["tf-keras"].rsplit(".", 1)[0]
