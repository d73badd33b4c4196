"""A search with devices that `kill -9` ends at any moments tries, trains and measures all once."""

import random
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest

from harness.core.search import Constraint, Objective, Range, Search
from harness.pipeline.search_events import PointInfeasible, PointTold
from harness.sweep.study import OptunaStudy
from tests.fleet.shelf import Shelf
from tests.pipeline.played_search import World, separate_devices, trial_at

KILLS = 30
LONGEST_S = 3.0
SEED = 20261127
SEARCH = Search(
    "optuna",
    trials=12,
    space={"ms": Range(1, 12), "seed": (0, 1)},
    objectives=(Objective("accuracy"), Objective("latency", on="board")),
    constraints=(Constraint("latency", at_most=5_000.0, on="board"),),
)
_CONTEXT = get_context("forkserver")


def run_search(shelf: Shelf, trainings: Path) -> World:
    """Go on with the search, and note each training in a file once its trial is stored."""
    world = World(shelf, log=trainings)
    with pytest.MonkeyPatch.context() as patch:
        separate_devices(patch)
        world.run_study(OptunaStudy(SEARCH, trial_at), SEARCH, adopt=True)
    return world


def test_a_search_that_is_killed_again_and_again_does_nothing_twice(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    World.make(shelf)
    trainings = tmp_path / "trainings"
    moments = random.Random(SEED)
    kills = 0
    for _ in range(KILLS):
        process = _CONTEXT.Process(target=run_search, args=(shelf, trainings), daemon=True)
        process.start()
        process.join(moments.uniform(0, LONGEST_S))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode != 0
    assert kills > KILLS / 2, "most of them were cut short"
    world = run_search(shelf, trainings)

    assert len(world.shelf.rows("SELECT DISTINCT point FROM sweep_trials")) == SEARCH.trials
    ends = [event for event in world.events if isinstance(event, PointTold | PointInfeasible)]
    numbers = [event.point.number for event in ends]
    assert len(numbers) == len(set(numbers)) == SEARCH.trials, "each point is told once"
    lines = trainings.read_text().splitlines()
    assert len(lines) == len(set(lines)), "no stored trial was trained again"
    for row in shelf.rows("SELECT parameters, status FROM trials"):
        fits = int(row["parameters"].split(":")[1][:-1]) <= 5
        assert row["status"] == ("done" if fits else "infeasible")
    often = shelf.rows(
        "SELECT case_id, count(*) AS n FROM measurements GROUP BY case_id HAVING count(*) > 1"
    )
    assert len(often) <= 1, "only the reference is measured again"
    for leftover in ("pending_runs", "queue", "failures"):
        assert shelf.rows(f"SELECT * FROM {leftover}") == []
