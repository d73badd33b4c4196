"""A search that hears devices, on real lanes, with trainings that the test plays."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from harness.conversion.anatomy import read_anatomy
from harness.core.bench import Protocol
from harness.core.errors import Reason
from harness.core.forms import Form
from harness.core.rating import Targets
from harness.core.search import Constraint, Objective, Range, Search
from harness.core.sweep import Failure, Trial
from harness.fleet.events import CaseMeasured, DeviceSetAside
from harness.pipeline.device_search import FEW_POINTS, DeviceSearch
from harness.pipeline.first_looks import FirstLooks
from harness.pipeline.point_rows import StoredPoints
from harness.pipeline.readings import Readings
from harness.pipeline.run import HearingSearch, Pipeline, PipelineEvent
from harness.pipeline.search_events import (
    LookMisled,
    NothingFeasible,
    PointFailed,
    PointFeasible,
    PointInfeasible,
    PointProposed,
    PointTold,
)
from harness.pipeline.search_setup import SearchDevices, find_limits
from harness.store.reading import read_results
from harness.sweep.study import ListedStudy
from harness.training.events import ClusterReady, Failed, Finished, PointStarted, Quiet, SweepEvent
from harness.training.search import SearchedUnits
from tests import tools
from tests.fleet.shelf import MODELS, Shelf, make_request
from tests.store.examples import make_outcome, make_trial

# The latency of a network is the length of its file beyond the model's, in milliseconds.
TOOL = """
for argument; do case $argument in --graph=*) graph=${argument#--graph=};; esac; done
ms=$(($(wc -c <"$graph") - BASE))
[ $ms = 17 ] && { echo 'ERROR: unresolved operator LceBconv2d'; exit 1; }
us=${ms}000
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=1"
""".replace("BASE", str(len(MODELS[0])))
PROTOCOL = Protocol("plain", processes=6, order="interleaved")
SEARCH = Search(
    "random",
    trials=4,
    space={"ms": Range(1, 50)},
    constraints=(Constraint("latency", at_most=5_000.0, on="board"),),
)


def trial_at(point: Mapping[str, Any]) -> tuple[Trial, ...]:
    ms = point["ms"]
    trial = make_trial(seed=point.get("seed", 0))
    return (replace(trial, parameters={"units": ms}, chosen={"units": ms}),)


def make_network(ms: int) -> bytes:
    return MODELS[0] + bytes(ms)


def find_form(trial: Trial) -> Form:
    return Form.of_trial(trial, (8, 8, 1), 10, converter="none")


@dataclass
class World:
    """A workspace, and what the test has seen of its searches."""

    shelf: Shelf
    built: list[str] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    events: list[PipelineEvent] = field(default_factory=list)

    def build(self, form: Form) -> "Future[bytes | Failure]":
        self.built.append(form.id)
        future: Future[bytes | Failure] = Future()
        ms = form.parameters["units"]
        failure = Failure(Reason.CONVERSION, "it has no converter.")
        future.set_result(failure if ms == 49 else make_network(ms))
        return future

    def train(
        self,
        search: DeviceSearch,
        slower: int = 0,
        break_after: int | None = None,
        pauses_for: type | None = None,
    ) -> Iterator[SweepEvent]:
        """Play Ray: train each point that the search gives out, until it has no more.

        After the first point, it pauses until there is an event of a type.
        """
        yield ClusterReady()
        while not search.is_exhausted:
            if (point := search.take()) is None:
                yield Quiet()
                continue
            if break_after is not None and len(self.trained) >= break_after:
                raise KeyboardInterrupt
            (trial,) = trial_at(point)
            self.trained.append(point["ms"])
            yield PointStarted(point, (trial,))
            finished = self.finish(trial, point["ms"] + slower)
            search.note(finished)
            yield finished
            while pauses_for is not None and not self.of_kind(pauses_for):
                yield Quiet()

    def finish(self, trial: Trial, ms: int) -> Finished:
        """Store a trained network, as the sweep's training does, and return its event."""
        outcome = make_outcome(trial, content=MODELS[0] + b"\1" * ms)
        curve = tuple(replace(epoch, validation_accuracy=0.5) for epoch in outcome.curve)
        artifact = replace(outcome.artifacts[0], anatomy=read_anatomy(MODELS[0]))
        outcome = replace(outcome, curve=curve, artifacts=(artifact,))
        with self.shelf.open_session() as session:
            for content in outcome.files.values():
                session.files.save(content)
            session.trials.finish(outcome)
        return Finished(trial, outcome)

    def run(
        self,
        points: list[dict[str, Any]],
        search: Search = SEARCH,
        devices: tuple[str, ...] = ("board",),
        *,
        adopt: bool = False,
        **training: Any,
    ) -> list[PipelineEvent]:
        registry = self.shelf.make_devices(devices)
        targets = Targets({"board": ["board"], "boards": list(devices)}, threads=1)
        request = replace(
            make_request(devices, PROTOCOL),
            limits=find_limits(search, targets),
            uses_reference=True,
        )
        study = ListedStudy(points, trial_at)
        with self.shelf.open(request) as bench, self.shelf.open_session() as session:
            rows = StoredPoints("study", session.trials, forms=session.forms)
            hearing = DeviceSearch(
                study,
                SearchedUnits(trial_at, {}),
                search=search,
                targets=targets,
                looks=FirstLooks(session.forms, session.files, build=self.build),
                readings=Readings(
                    lambda artifacts, ids: read_results(
                        session.reader, artifacts=artifacts, devices=ids
                    ),
                    protocol=PROTOCOL.name,
                ),
                find_form=find_form,
                measure=partial(bench.add, devices=targets.list_devices()),
                rows=rows,
            )
            if adopt:
                for values in session.trials.list_points("study"):
                    point = study.adopt(values)
                    hearing.adopt(point, rows.read_results(point.trials))
            pipeline = Pipeline(
                bench, registry, hearing=HearingSearch(hearing, SearchDevices({}, 1))
            )
            self.events = []
            try:
                for event in pipeline.run(self.train(hearing, **training), (), planned=()):
                    self.events.append(event)
            except KeyboardInterrupt:
                pass
        return self.events

    def of_kind(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> dict[int, tuple[str, str | None]]:
        rows = self.shelf.rows("SELECT parameters, status, message FROM trials")
        return {
            int(row["parameters"].split(":")[1][:-1]): (row["status"], row["message"])
            for row in rows
        }


@pytest.fixture
def world(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> World:
    # The devices of a test are on this machine, but nothing trains here.
    for module in ("run", "search_setup"):
        monkeypatch.setattr(f"harness.pipeline.{module}.find_training_devices", lambda *_: {})
    with shelf.open_session() as session:
        script = tools.write_script(shelf.folder / "tool", TOOL)
        session.tools.add("tool", script.read_bytes())
    return World(shelf)


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
    world.run(at(3, 20), break_after=0)
    folder = world.shelf.folder / "devices"
    (folder / "board").rename(folder / "away")
    (folder / "board").write_text("a file where the folder should be")
    world.run(at(3, 20), adopt=True)
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
