"""A sweep that a board measures while it trains, beside the longer of its two halves alone.

    python -m benchmarks.pipeline [--trials 24] [--epochs 20] [--process-s 1,0.05]

The trials are those of `benchmarks.sweep`. The board is an sshd on this machine. Its tool sleeps
for so many seconds, and takes nothing from the workers. By default, the board is at first slower
than the training, then faster.
"""

import argparse
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import parse_options
from benchmarks.sweep import SWEEP
from benchmarks.train_mlp import machine
from tests import tools
from tests.harness_cli import Cli
from tests.sshd import Sshd

BOARD_ADDRESS = "127.0.0.2"  # not this machine's own, so that the board counts as another one
BENCH = """\
bench:
  protocol:
    {name: bare, processes: 6, max_processes: 6, target: 0, gates: null, canary: false,
     answers: false}
"""
TRIALS = """
SELECT finished_at, data_s + fit_s + convert_s + evaluate_s AS work_s, artifact
FROM trials JOIN trial_artifacts ON trial_id = trials.id ORDER BY finished_at
"""
RUNS = """
SELECT runs.started_at, runs.seconds, cases.artifact FROM runs
JOIN measurements ON measurements.id = measurement_id JOIN cases ON cases.id = case_id
ORDER BY runs.started_at
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--process-s", default="1,0.05")
    options = parse_options(parser, trials=2, epochs=1, process_s="0.05")
    print(f"{options.trials} trials of {options.epochs} epochs, {machine()}")
    for process_s in map(float, options.process_s.split(",")):
        with tempfile.TemporaryDirectory() as folder, serve_board(Path(folder)):
            submit_sweep(Path(folder), options, process_s=process_s)
            print(f"a process takes the board {process_s:g} s:")
            report(Path(folder) / "workspace" / "harness.db")


@contextmanager
def serve_board(folder: Path) -> Iterator[None]:
    """Serve the board, and write its registry."""
    sshd = Sshd.start(folder, f"ListenAddress {BOARD_ADDRESS}")
    device = sshd.device(folder=str(folder / "board"))
    board = {
        "id": "board",
        "kind": "ssh",
        "host": BOARD_ADDRESS,
        "port": device.port,
        "user": device.user,
        "key": device.key,
        "host_key": device.host_key,
        "folder": device.folder,
        "tool": "tool",
    }
    (folder / "devices.yaml").write_text(json.dumps({"devices": [board]}))
    try:
        yield
    finally:
        sshd.stop()


def submit_sweep(folder: Path, options: argparse.Namespace, process_s: float) -> None:
    file = folder / "short.yaml"
    seeds = list(range(options.trials))
    file.write_text(SWEEP.format(seeds=seeds, epochs=options.epochs) + BENCH)
    tool = tools.write_script(folder / "tool", f"sleep {process_s}\n{tools.NUMBERS}")
    cli = Cli(folder / "workspace", {"HARNESS_DEVICES": str(folder / "devices.yaml")})
    for arguments in (
        ("tools", "add", "tool", "--file", tool),
        ("submit", "sweep", file, "--bench", "--fleet"),
    ):
        ended = cli.run(*arguments)
        if ended.returncode:
            raise SystemExit(ended.stdout + ended.stderr)


def report(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        trials = database.execute(TRIALS).fetchall()
        runs = database.execute(RUNS).fetchall()
    ends = [read_time(finished_at) for finished_at, _, _ in trials]
    works = [work_s for _, work_s, _ in trials]
    began = min(end - work for end, work in zip(ends, works, strict=True))
    training_s = max(ends) - began
    measuring_s = sum(seconds for _, seconds, _ in runs)
    last_at, last_s, _ = runs[-1]
    whole_s = max(*ends, read_time(last_at) + last_s) - began
    longer_s = max(training_s, measuring_s)
    share = sum(works) / (min(os.cpu_count() or 1, len(trials)) * training_s)
    print(f"  {share:.0%} of the workers' time is work")
    print(f"  training {training_s:.1f} s, processes on the board {measuring_s:.1f} s")
    print(f"  both {whole_s:.1f} s: {whole_s / longer_s:.2f} of the longer half")
    waits = list_waits(trials, runs)
    print(
        "  from a trial's end to its first process on the idle board: "
        f"median {median(waits):.2f} s, at most {max(waits):.2f} s, {len(waits)} times"
    )


def list_waits(trials: Sequence[Any], runs: Sequence[Any]) -> list[float]:
    """Return the seconds from a trial's end to its first process, where the board was idle."""
    waits: list[float] = []
    for finished_at, _, artifact in trials:
        end = read_time(finished_at)
        earlier = [read_time(at) + seconds for at, seconds, _ in runs if read_time(at) < end]
        if not earlier or max(earlier) < end:
            first = next(read_time(at) for at, _, measured in runs if measured == artifact)
            waits.append(first - end)
    return waits


def read_time(text: str) -> float:
    """Return the seconds since 1970 of an ISO 8601 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    main()
