"""A bench that `kill -9` ends at any moments loses no result and doubles none."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import tools
from tests.harness_cli import BARE, Cli
from tests.preloaded import start_preloaded
from tests.simulated.fleet import SimulatedFleet

KILLS = 100
DEVICES = 2
MORE_WORK = 4  # thread counts that are added when a bench has finished
PROCESSES = 2  # of a case
MODELS = ("binary_64", "float_64")
PATIENCE_S = 60.0
MAX_DELAY_S = 1.5  # a slow machine takes no more than two minutes, either
SEED = 20261126


@dataclass(frozen=True)
class Shelf:
    """Simulated boards, and the command that benches more and more cases on them."""

    cli: Cli
    models: list[Path]

    def command(self, thread_counts: int) -> list[str | Path]:
        threads = ",".join(map(str, range(1, thread_counts + 1)))
        protocol = f"{BARE},processes={PROCESSES}"
        return ["bench", "--fleet", "--protocol", protocol, "--threads", threads, *self.models]

    def read(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.cli.home / "harness.db")) as database:
            return database.execute(sql).fetchall()

    def kill_after(self, delay_s: float, thread_counts: int) -> bool:
        """Start a bench and kill it; return whether it still ran then."""
        output = self.cli.home / "output"
        bench = start_preloaded(self.cli, *self.command(thread_counts), output=output)
        bench.join(delay_s)
        bench.kill()
        bench.join()
        assert bench.exitcode in (0, -signal.SIGKILL), output.read_text()
        return bench.exitcode != 0


@pytest.mark.full
def test_a_bench_that_is_killed_a_hundred_times_loses_and_doubles_nothing(
    tmp_path: Path, repository: Path
) -> None:
    folder = repository / "tests" / "data" / "models"
    cli = Cli(tmp_path / "workspace", {"HARNESS_DEVICES": str(tmp_path / "devices.yaml")})
    shelf = Shelf(cli, [folder / f"{name}.tflite" for name in MODELS])
    starts = tmp_path / "starts"
    tool = tools.write_script(tmp_path / "tool", f"echo started >>{starts}\n{tools.NUMBERS}")
    with SimulatedFleet(DEVICES, tmp_path / "fleet") as fleet:
        fleet.write_devices(tmp_path / "devices.yaml", tool="tool")
        assert cli.run("tools", "add", "tool", "--file", tool).returncode == 0
        assert not shelf.kill_after(PATIENCE_S, thread_counts=1)
        began = time.monotonic()
        assert not shelf.kill_after(PATIENCE_S, thread_counts=2)
        longest_s = min(time.monotonic() - began, MAX_DELAY_S)
        moments = random.Random(SEED)
        measured: set[tuple[object, ...]] = set()
        kills, thread_counts = 0, 2
        while kills < KILLS:
            if shelf.kill_after(moments.uniform(0, longest_s), thread_counts):
                kills += 1
            else:
                thread_counts += MORE_WORK
            still_measured = set(shelf.read("SELECT id, case_id FROM measurements"))
            assert measured <= still_measured
            measured = still_measured
        ended = cli.run(*shelf.command(thread_counts))
        assert ended.returncode == 0, ended.stdout + ended.stderr
    cases = DEVICES * len(MODELS) * thread_counts
    rows = shelf.read("SELECT case_id, runs FROM measurements")
    assert len({case_id for case_id, _ in rows}) == len(rows)
    assert [runs for _, runs in rows] == [PROCESSES] * cases
    assert shelf.read("SELECT count(*) FROM runs") == [(PROCESSES * cases,)]
    for leftover in ("pending_runs", "queue", "failures"):
        assert shelf.read(f"SELECT * FROM {leftover}") == []
    assert shelf.read("PRAGMA integrity_check") == [("ok",)]
    lost_runs = tools.count_lines(starts) - PROCESSES * cases
    assert 0 <= lost_runs <= KILLS * DEVICES, "a kill costs each device one run at most"
