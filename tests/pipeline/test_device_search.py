"""A search that hears devices: what it measures first, trains, tells and leaves open."""

from dataclasses import replace
from typing import Any

import pytest

from harness.core.errors import Reason
from harness.core.search import Constraint, Objective, Range, Search
from harness.core.sweep import Failure
from harness.fleet.events import CaseMeasured, DeviceSetAside
from harness.pipeline.device_search import FEW_POINTS
from harness.pipeline.search_events import (
    LookMisled,
    NothingFeasible,
    PointFailed,
    PointFeasible,
    PointInfeasible,
    PointProposed,
    PointTold,
)
from harness.training.events import Failed
from tests.fleet.shelf import Shelf
from tests.pipeline.played_search import SEARCH, World, separate_devices, trial_at


@pytest.fixture
def world(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> World:
    separate_devices(monkeypatch)
    return World.make(shelf)


def at(*times: int) -> list[dict[str, Any]]:
    return [{"ms": ms} for ms in times]


def test_what_breaks_a_constraint_is_never_trained(world: World) -> None:
    world.run(at(3, 20, 4, 7))
    assert sorted(world.trained) == [3, 4]
    states = world.states()
    assert {ms: state for ms, (state, _) in states.items()} == {
        3: "done",
        4: "done",
        20: "infeasible",
        7: "infeasible",
    }
    assert states[20][1] == "mlp binary on board: latency 20.0 ms, the limit is 5.00 ms."
    told_points = world.of_kind(PointTold)
    assert [(event.point.values["ms"], event.is_feasible) for event in told_points] == [
        (3, True),
        (4, True),
    ]
    assert len(world.of_kind(PointProposed)) == 4


def test_each_form_is_built_and_measured_once_whatever_seeds_share_it(world: World) -> None:
    world.run([{"ms": 3, "seed": 0}, {"ms": 3, "seed": 1}, {"ms": 20, "seed": 0}])
    assert len(world.built) == 2
    assert world.trained == [3, 3]
    rows = world.shelf.rows("SELECT count(DISTINCT case_id) AS n FROM measurements")
    assert rows[0]["n"] == 3, "two untrained networks, and the trained one that both seeds became"


def test_a_missing_operator_makes_a_point_infeasible_with_that_reason(world: World) -> None:
    world.run(at(17, 3))
    assert world.trained == [3]
    state, message = world.states()[17]
    assert state == "infeasible"
    assert message is not None
    assert "LceBconv2d" in message


def test_a_network_that_cannot_be_built_fails_without_training(world: World) -> None:
    world.run(at(49, 3))
    assert world.trained == [3]
    assert world.states()[49] == ("failed", "it has no converter.")
    assert [event.failure.reason for event in world.of_kind(Failed)] == [Reason.CONVERSION]
    (failed,) = world.of_kind(PointFailed)
    assert failed.point.values == {"ms": 49}


def test_people_hear_early_that_nothing_is_feasible(world: World) -> None:
    world.run(at(*range(20, 20 + FEW_POINTS + 3)))
    (event,) = world.of_kind(NothingFeasible)
    assert event.nearest.point.values == {"ms": 20}
    assert world.trained == []


def test_no_more_points_wait_for_devices_than_may(world: World) -> None:
    world.run(at(1, 2, 3, 4, 20), replace(SEARCH, max_waiting=2))
    waiting = most = 0
    for event in world.events:
        waiting += isinstance(event, PointProposed)
        waiting -= isinstance(event, PointFeasible | PointInfeasible)
        most = max(most, waiting)
    assert most == 2


def test_the_worst_device_of_a_tag_counts(world: World) -> None:
    search = replace(SEARCH, constraints=(Constraint("latency", at_most=5_000.0, on="boards"),))
    world.run(at(3, 20), search, devices=("board", "other"))
    assert world.trained == [3]
    measured = {(event.device.id, event.is_reference) for event in world.of_kind(CaseMeasured)}
    assert {("board", False), ("other", False)} <= measured


def test_a_device_that_is_set_aside_leaves_its_points_open_for_the_next_submission(
    world: World,
) -> None:
    folder = world.shelf.folder / "devices"
    folder.mkdir()
    (folder / "board").write_text("a file where the folder should be")
    world.run(at(3, 20))
    assert len(world.of_kind(DeviceSetAside)) == 1
    assert sorted(world.trained) == [3, 20], "nobody knows that 20 ms is too slow"
    assert world.of_kind(PointTold) == []
    (folder / "board").unlink()
    world.run(at(3, 20), adopt=True)
    assert sorted(world.trained) == [3, 20], "nothing is trained twice"
    told_points = {
        event.point.values["ms"]: event.is_feasible for event in world.of_kind(PointTold)
    }
    assert told_points == {3: True, 20: False}


def test_what_was_measured_counts_although_the_device_is_away(world: World) -> None:
    world.run(at(20, 3), break_after=0)  # which is when the second one may be trained
    folder = world.shelf.folder / "devices"
    (folder / "board").rename(folder / "away")
    (folder / "board").write_text("a file where the folder should be")
    world.run(at(20, 3), adopt=True)
    assert world.trained == [3]


@pytest.mark.parametrize("trained_before", [0, 1, 2])
def test_a_search_that_is_killed_goes_on_where_it_was(world: World, trained_before: int) -> None:
    points = at(3, 20, 4, 7)
    world.run(points, break_after=trained_before)
    built, first = len(world.built), world.events
    world.run(points, adopt=True)
    assert sorted(world.trained) == [3, 4]
    assert len(world.built) <= 4
    measured = [
        event.case.id
        for event in (*first, *world.events)
        if isinstance(event, CaseMeasured) and not event.is_reference
    ]
    assert len(measured) == len(set(measured))
    assert built <= 4
    assert {ms: state for ms, (state, _) in world.states().items()} == {
        3: "done",
        4: "done",
        20: "infeasible",
        7: "infeasible",
    }


def test_first_looks_that_mislead_are_not_trusted_any_more(world: World) -> None:
    search = replace(SEARCH, max_waiting=1)
    world.run(at(3, 1, 20), search, slower=10, pauses_for=LookMisled)
    misled = world.of_kind(LookMisled)
    assert [event.architecture for event in misled] == ["mlp"]
    assert misled[0].message == "it takes 13.0 ms trained, and 3.00 ms untrained"
    told_points = {
        event.point.values["ms"]: event.is_feasible for event in world.of_kind(PointTold)
    }
    assert told_points[1] is False, "its trained network breaks the constraint"
    assert told_points[20] is False, "it was trained without a first look"


def test_objectives_of_devices_are_told_with_the_others(world: World) -> None:
    search = Search(
        "optuna",
        trials=2,
        space={"ms": Range(1, 50)},
        objectives=(Objective("accuracy"), Objective("latency", on="board")),
    )
    world.run(at(3, 20), search)
    told_points = {event.point.values["ms"]: event.objectives for event in world.of_kind(PointTold)}
    assert told_points == {
        3: {"accuracy": 0.5, "latency on board": 3_000.0},
        20: {"accuracy": 0.5, "latency on board": 20_000.0},
    }


def test_a_point_that_others_outclassed_is_not_tried_again(world: World) -> None:
    world.run(at(3), break_after=0)
    (trial,) = trial_at({"ms": 3})
    with world.shelf.open_session() as session:
        session.trials.stop(trial.id, Failure(Reason.OUTCLASSED, "Others did better."))
    world.run(at(3), adopt=True)
    assert world.trained == []
