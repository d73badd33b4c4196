"""Training and measuring at once, with the events of a training that has been recorded."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from harness.core.errors import HarnessError, Reason
from harness.core.sweep import Failure, Precision, Trial
from harness.fleet.events import CaseMeasured, DeviceSetAside, LaneEnded
from harness.pipeline.run import DeviceTrains, Pipeline, PipelineEvent
from harness.training.events import (
    ClusterReady,
    Failed,
    Finished,
    PointStarted,
    Quiet,
    Started,
    SweepEvent,
)
from tests.fleet.shelf import PLAIN, Shelf, make_request
from tests.store.examples import make_outcome, make_trial

BINARY = make_trial()
FLOAT = make_trial(precision=Precision.FLOAT32)
LOST = Failure(Reason.LOST, "its node was lost")


def finish(trial: Trial, artifact: str) -> Finished:
    outcome = make_outcome(trial)
    (example,) = outcome.artifacts
    return Finished(trial, replace(outcome, artifacts=(replace(example, sha256=artifact),)))


def run(
    shelf: Shelf, training: Iterable[SweepEvent], artifacts: tuple[str, ...] = ()
) -> list[PipelineEvent]:
    with shelf.open(make_request(["board"], PLAIN)) as bench:
        pipeline = Pipeline(bench, shelf.make_devices(["board"]))
        return list(pipeline.run(training, artifacts, planned=[BINARY, FLOAT]))


def test_a_device_that_trains_is_measured_when_training_is_over(shelf: Shelf) -> None:
    first, second = shelf.artifacts
    training: list[SweepEvent] = [
        ClusterReady(),
        Started(BINARY, "node", pid=1),
        Quiet(),
        finish(BINARY, first),
        finish(FLOAT, second),
    ]
    events = run(shelf, training)
    kinds = [type(event) for event in events]
    assert kinds[0] is DeviceTrains
    last_training = max(index for index, kind in enumerate(kinds) if kind is Finished)
    assert kinds.index(CaseMeasured) > last_training
    assert kinds[-1] is LaneEnded
    assert shelf.count_measured() == {"board": 2}


def test_earlier_artifacts_and_those_of_a_failed_twin_are_measured(shelf: Shelf) -> None:
    first, second = shelf.artifacts
    training: list[SweepEvent] = [ClusterReady(), PointStarted({}, (BINARY,)), Failed(BINARY, LOST)]
    run(shelf, [*training, finish(FLOAT, second)], artifacts=(first,))
    assert shelf.count_measured() == {"board": 2}


def test_a_training_that_breaks_down_ends_the_bench(shelf: Shelf) -> None:
    (artifact, _) = shelf.artifacts

    def train() -> Iterator[SweepEvent]:
        yield ClusterReady()
        yield finish(BINARY, artifact)
        raise HarnessError("Ray has ended.")

    with pytest.raises(HarnessError, match="Ray has ended"):
        run(shelf, train())
    assert shelf.count_measured() == {}


def test_a_device_that_is_set_aside_leaves_the_rest_in_its_queue(shelf: Shelf) -> None:
    (artifact, _) = shelf.artifacts
    folder = shelf.folder / "devices"
    folder.mkdir()
    (folder / "board").write_text("a file where the folder should be")
    training: list[SweepEvent] = [ClusterReady(), finish(BINARY, artifact), Failed(FLOAT, LOST)]
    events = run(shelf, training)
    assert [type(event) for event in events].count(DeviceSetAside) == 1
    assert [row["artifact"] for row in shelf.rows("SELECT artifact FROM queue")] == [artifact]
