"""Every benchmark ends well and prints figures, which mean nothing on a busy machine."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted(
    file.stem for file in (Path(__file__).parents[2] / "benchmarks").glob("[!_]*.py")
)


def test_benchmarks_are_found() -> None:
    assert {"fleet", "queries", "sweep"} <= set(BENCHMARKS)


@pytest.mark.full
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_quickly_to_its_end(repository: Path, name: str) -> None:
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    completed = subprocess.run(argv, cwd=repository, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert any(character.isdigit() for character in completed.stdout)
