"""The time and memory that a sweep's plan takes, beside hashing as many trials' settings.

    python -m benchmarks.planning [--points 1000 10000 100000]

Each sweep is planned in a process and a workspace of its own, as by `submit sweep --dry-run`.
"""

import argparse
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console

from benchmarks import parse_options
from harness.core.ids import content_id
from harness.report.terminal.tables import tabulate

_SWEEP = """\
name: planning
dataset: digits
model: {{name: mlp, layers: 2}}
precision: [binary]
train: {{epochs: 1}}
grid:
  model.units: {units}
  train.learning_rate: {rates}
"""
_UNITS = list(range(1, 51))


class Cost(NamedTuple):
    """Processor time and the largest memory of a process."""

    cpu_s: float
    memory_mb: float


def list_rates(points: int) -> list[float]:
    return [number / 1_000_000 for number in range(1, points // len(_UNITS) + 1)]


def plan(points: int, folder: Path) -> Cost:
    file = folder / f"{points}.yaml"
    file.write_text(_SWEEP.format(units=_UNITS, rates=list_rates(points)))
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "submit", "sweep", str(file), "--dry-run"],
        env={**os.environ, "HARNESS_HOME": str(folder / f"workspace-{points}")},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"planning {points} points failed")
    return Cost(usage.ru_utime + usage.ru_stime, memory_mb=usage.ru_maxrss / 1000)


def hash_settings(points: int) -> float:
    """Return the seconds that it takes to write and hash the settings of each point."""
    started = time.process_time()
    for units, rate in product(_UNITS, list_rates(points)):
        content_id({"model": {"name": "mlp", "units": units}, "train": {"learning_rate": rate}})
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parse_options(parser, points=[100, 1_000])
    rows = []
    with TemporaryDirectory() as folder:
        for points in options.points:
            cost = plan(points, Path(folder))
            hashing = f"{hash_settings(points):.2f}"
            rows.append((f"{points:,}", f"{cost.cpu_s:.2f}", f"{cost.memory_mb:.0f}", hashing))
    Console().print(tabulate(("points", "planning, s", "memory, MB", "hashing alone, s"), rows))


if __name__ == "__main__":
    main()
