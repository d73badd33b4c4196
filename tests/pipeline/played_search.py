"""A search that hears devices, on real lanes, with trainings that the test plays."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.conversion.anatomy import read_anatomy
from harness.core.bench import Protocol
from harness.core.errors import Reason
from harness.core.forms import Form
from harness.core.rating import Targets
from harness.core.search import Constraint, Range, Search
from harness.core.sweep import Failure, Trial
from harness.pipeline.device_search import DeviceSearch
from harness.pipeline.first_looks import FirstLooks
from harness.pipeline.point_rows import StoredPoints
from harness.pipeline.readings import Readings
from harness.pipeline.run import HearingSearch, Pipeline, PipelineEvent
from harness.pipeline.search_setup import SearchDevices, find_limits
from harness.store.reading import read_results
from harness.sweep.study import ListedStudy, Study
from harness.training.events import ClusterReady, Finished, PointStarted, Quiet, SweepEvent
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


def separate_devices(patch: pytest.MonkeyPatch) -> None:
    """Let nothing train on this machine, where the devices of a test are."""
    for module in ("run", "search_setup"):
        patch.setattr(f"harness.pipeline.{module}.find_training_devices", lambda *_: {})


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
    """A workspace, and what the test has seen of its searches.

    Each training that has been stored adds a line with its trial to the `log`.
    """

    shelf: Shelf
    sweep: str = "study"
    log: Path | None = None
    built: list[str] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    events: list[PipelineEvent] = field(default_factory=list)

    @classmethod
    def make(cls, shelf: Shelf, tool: str = TOOL) -> "World":
        with shelf.open_session() as session:
            script = tools.write_script(shelf.folder / "tool", tool)
            session.tools.add("tool", script.read_bytes())
        return cls(shelf)

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
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{trial.id}\n")
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
        """Search these points with the devices, and return the events of both halves."""
        study = ListedStudy(points, trial_at)
        return self.run_study(study, search, devices=devices, adopt=adopt, **training)

    def run_study(
        self,
        study: Study,
        search: Search = SEARCH,
        *,
        devices: tuple[str, ...] = ("board",),
        adopt: bool = False,
        **training: Any,
    ) -> list[PipelineEvent]:
        """Search the points of a study; with `adopt`, go on from those that the rows have."""
        registry = self.shelf.make_devices(devices)
        targets = Targets({"board": ["board"], "boards": list(devices)}, threads=1)
        request = replace(
            make_request(devices, PROTOCOL),
            limits=find_limits(search, targets),
            uses_reference=True,
        )
        with self.shelf.open(request) as bench, self.shelf.open_session() as session:
            rows = StoredPoints(self.sweep, session.trials, forms=session.forms)
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
            trained: list[str] = []
            if adopt:
                trained = session.trials.get_sweep_artifacts(self.sweep)
                for values in session.trials.list_points(self.sweep):
                    point = study.adopt(values)
                    hearing.adopt(point, rows.read_results(point.trials))
            pipeline = Pipeline(
                bench, registry, hearing=HearingSearch(hearing, SearchDevices({}, 1))
            )
            self.events = []
            try:
                for event in pipeline.run(self.train(hearing, **training), trained, planned=()):
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
