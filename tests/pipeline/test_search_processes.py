"""Searches with devices in processes of their own: killed at any moment, or two on one board."""

import random
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from harness.core.search import Constraint, Objective, Range, Search
from harness.pipeline.search_events import PointInfeasible, PointTold
from harness.sweep.study import OptunaStudy
from tests.fleet.shelf import Shelf
from tests.pipeline.played_search import TOOL, World, separate_devices, trial_at

KILLS = 20
FEW = 4  # points; a search that has ended gets as many more
PATIENCE_S = 60.0
MAX_DELAY_S = 5.0
SEED = 20261127
SEARCH = Search(
    "optuna",
    trials=FEW,
    space={"ms": Range(1, 12), "seed": tuple(range(50))},
    objectives=(Objective("accuracy"), Objective("latency", on="board")),
    constraints=(Constraint("latency", at_most=5_000.0, on="board"),),
)
# The batches in which more than one case was measured that had been measured before
REPEATED_TWICE = """
SELECT batch FROM runs JOIN measurements AS later ON later.id = measurement_id
WHERE EXISTS (
    SELECT 1 FROM measurements AS first WHERE first.case_id = later.case_id AND first.id < later.id
)
GROUP BY batch HAVING count(DISTINCT later.case_id) > 1
"""
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", "tests.preloaded", "tests.pipeline.played_search"])


def run_search(world: World, points: int) -> World:
    """Begin the search of a sweep, or go on with it, until it has tried so many points."""
    search = replace(SEARCH, trials=points)
    with pytest.MonkeyPatch.context() as patch:
        separate_devices(patch)
        world.run_study(OptunaStudy(search, trial_at), search, adopt=True)
    return world


def start_search(world: World, points: int) -> BaseProcess:
    process = _CONTEXT.Process(target=run_search, args=(world, points), daemon=True)
    process.start()
    return process


def kill_after(delay_s: float, world: World, points: int) -> bool:
    """Start a search and kill it; return whether it still ran then."""
    process = start_search(world, points)
    process.join(delay_s)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_search_that_is_killed_again_and_again_does_nothing_twice(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    World.make(shelf)
    trainings = tmp_path / "trainings"
    world = World(shelf, log=trainings)
    began = time.monotonic()
    assert not kill_after(PATIENCE_S, world, points=FEW)
    longest_s = min(time.monotonic() - began, MAX_DELAY_S)
    moments = random.Random(SEED)
    kills, points = 0, 2 * FEW
    while kills < KILLS:
        if kill_after(moments.uniform(0, longest_s), world, points=points):
            kills += 1
        else:
            points += FEW
    run_search(world, points)

    assert len(shelf.rows("SELECT DISTINCT point FROM sweep_trials")) == points
    ends = [event for event in world.events if isinstance(event, PointTold | PointInfeasible)]
    numbers = [event.point.number for event in ends]
    assert len(numbers) == len(set(numbers)) == points, "each point is told once"
    lines = trainings.read_text().splitlines()
    assert len(lines) == len(set(lines)), "no stored trial was trained again"
    for row in shelf.rows("SELECT parameters, status FROM trials"):
        fits = int(row["parameters"].split(":")[1][:-1]) <= 5
        assert row["status"] == ("done" if fits else "infeasible")
    assert shelf.rows(REPEATED_TWICE) == [], "a batch repeats no case but its reference"
    for leftover in ("pending_runs", "queue", "failures"):
        assert shelf.rows(f"SELECT * FROM {leftover}") == []


def test_two_searches_on_one_board_take_turns(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    busy = tmp_path / "busy"
    alone = f"mkdir {busy} || echo overlap >>{tmp_path}/overlaps"
    World.make(shelf, tool=f"{alone}\n{TOOL}\nrmdir {busy}")
    searches = [start_search(World(shelf, sweep=name), FEW) for name in ("one", "two")]
    for search in searches:
        search.join()
        assert search.exitcode == 0
    assert not (tmp_path / "overlaps").exists()
    for sweep in ("one", "two"):
        points = f"SELECT DISTINCT point FROM sweep_trials WHERE sweep = '{sweep}'"
        assert len(shelf.rows(points)) == FEW
    ends = {row["status"] for row in shelf.rows("SELECT status FROM trials")}
    assert ends <= {"done", "infeasible"}
