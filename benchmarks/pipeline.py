"""A sweep that a board measures while it trains, beside the longer of its two halves.

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
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
SELECT runs.started_at, runs.seconds, cases.artifact, runs.batch FROM runs
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
    batches = list_batches(runs)
    measuring_s = sum(batch.end - batch.start for batch in batches)
    tool_s = sum(run[1] for run in runs)
    whole_s = max(*ends, *(batch.end for batch in batches)) - began
    longer_s = max(training_s, measuring_s)
    share = sum(works) / (min(os.cpu_count() or 1, len(trials)) * training_s)
    print(f"  {share:.0%} of the workers' time is work")
    print(
        f"  training {training_s:.1f} s; measuring {measuring_s:.1f} s in {len(batches)} batches, "
        f"of which {tool_s:.1f} s in the tool"
    )
    print(f"  both {whole_s:.1f} s: {whole_s / longer_s:.2f} of the longer half")
    trained_at = {artifact: read_time(finished_at) for finished_at, _, artifact in trials}
    delays = list_delays(batches, trained_at)
    print(
        "  from a new artifact and an idle board to the first process: "
        f"median {median(delays):.2f} s, at most {max(delays):.2f} s"
    )


@dataclass
class BoardBatch:
    """A batch on the board: its first process's start, its last one's end, and what it measured."""

    start: float
    end: float
    artifacts: set[str]


def list_batches(runs: Sequence[Any]) -> list[BoardBatch]:
    batches: dict[str, BoardBatch] = {}
    for started_at, seconds, artifact, name in runs:
        start = read_time(started_at)
        batch = batches.setdefault(name, BoardBatch(start, start, artifacts=set()))
        batch.end = start + seconds
        batch.artifacts.add(artifact)
    return list(batches.values())


def list_delays(batches: Sequence[BoardBatch], trained_at: Mapping[str, float]) -> list[float]:
    """Return how long after there was a new artifact, and an idle board, each batch began."""
    delays: list[float] = []
    idle_from = 0.0
    measured: set[str] = set()
    for batch in batches:
        new = batch.artifacts - measured
        delays.append(batch.start - max(idle_from, min(trained_at[artifact] for artifact in new)))
        measured |= new
        idle_from = batch.end
    return delays


def read_time(text: str) -> float:
    """Return the seconds since 1970 of an ISO 8601 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    main()
