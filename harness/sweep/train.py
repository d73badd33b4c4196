"""Train a sweep's new trials, and store each one's rows and files as soon as it ends."""

import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from harness import data
from harness.core.device import Device
from harness.core.errors import DataUnavailable, Reason
from harness.core.sweep import Failure, Sweep, Trial
from harness.data import Dataset
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.files.checkpoints import CheckpointFiles
from harness.store.rows.running import RunningRows
from harness.store.rows.searches import SearchRows
from harness.store.rows.trials import TrialRows, TrialState
from harness.sweep.progress import StoredProgress
from harness.training import ray_cluster
from harness.training.events import (
    Checkpoint,
    ClusterReady,
    Event,
    Failed,
    Finished,
    PointStarted,
    Stopped,
    SweepEvent,
)
from harness.training.points import PointSource
from harness.training.search import FixedUnits, SearchedUnits, UnitSource
from harness.training.unit import group_trials

# A training that ended for one of these may have left a checkpoint, from which the next submission
# continues.
_INTERRUPTIONS = (Reason.KILLED, Reason.OUT_OF_MEMORY, Reason.LOST, Reason.BUDGET)


@dataclass(frozen=True)
class TrainingStores:
    """The stores for the rows, artifacts and checkpoints of training."""

    rows: TrialRows
    files: ArtifactFiles
    checkpoints: CheckpointFiles
    searches: SearchRows
    running: RunningRows


class RunningSearch(PointSource, Protocol):
    """A search that gives out points while it hears of the events of others."""

    @property
    def units(self) -> SearchedUnits:
        """Return what a worker needs to build the units of a point."""
        ...

    def note(self, event: SweepEvent) -> None:
        """Learn from an event, which has been stored."""
        ...


def train(
    sweep: Sweep,
    new_trials: Sequence[Trial],
    search: RunningSearch | None,
    address: str | None,
    stores: TrainingStores,
    places: Mapping[str, Sequence[Device]] = MappingProxyType({}),
) -> Generator[SweepEvent, None, None]:
    """Train the sweep's new trials, or the points that its `search` chooses.

    `places` are the devices of each `on` in the sweep's search. Each event is stored before the
    search and the caller hear of it, so that none is lost. Between events, a Quiet comes several
    times a second.
    """
    progress = StoredProgress(stores.running)
    events = _run(sweep, new_trials, search=search, address=address, checkpoints=stores.checkpoints)
    try:
        for event in _store_events(
            events, sweep, new_trials=new_trials, stores=stores, places=places
        ):
            progress.note(event)
            if search is not None:
                search.note(event)
            yield event
    finally:
        progress.end()


def _store_events(
    events: Iterable[Event],
    sweep: Sweep,
    new_trials: Sequence[Trial],
    stores: TrainingStores,
    places: Mapping[str, Sequence[Device]],
) -> Iterator[SweepEvent]:
    unfinished = {trial.id: trial for trial in new_trials}
    for event in events:
        match event:
            case ClusterReady():
                # Not earlier: a request that Ray refuses must leave no trace.
                stores.rows.submit(sweep, new_trials)
                stores.searches.save(sweep, places)
                yield event
            case PointStarted():
                stores.rows.submit_point(sweep.name, event.point, sampled=event.trials)
                unfinished |= {trial.id: trial for trial in event.trials}
                yield event
            case Checkpoint():
                stores.checkpoints.save(event.key, event.content)
            case Finished() | Failed() | Stopped():
                _store_end(event, stores)
                unfinished.pop(event.trial.id, None)
                training = event.trial.training
                is_shared = any(trial.training == training for trial in unfinished.values())
                if _is_final(event) and not is_shared:
                    stores.checkpoints.delete(training)
                yield event
            case _:
                yield event


def _run(
    sweep: Sweep,
    new_trials: Sequence[Trial],
    search: RunningSearch | None,
    address: str | None,
    checkpoints: CheckpointFiles,
) -> Iterator[Event]:
    """Start the training and return its events; ClusterReady comes first even if nothing is new."""
    if not new_trials and search is None:
        return iter((ClusterReady(),))
    unit_source: UnitSource
    if search is None:
        contents = checkpoints.load({trial.training for trial in new_trials})
        unit_source = FixedUnits(group_trials(new_trials, contents))
        names = {trial.dataset for trial in new_trials}
    else:
        unit_source = search.units
        names = set(sweep.sources)
    return ray_cluster.train(
        unit_source,
        {name: _load_dataset(sweep.sources[name]) for name in names},
        resources=sweep.resources,
        search=sweep.search,
        address=address,
        load_checkpoints=checkpoints.load,
        points=search,
    )


def _load_dataset(source: str) -> Dataset | Failure:
    """Load a data set; return a Failure if that fails, as other trials may not need it."""
    try:
        return data.load(source)
    except DataUnavailable as error:
        return Failure(Reason.NO_DATA, str(error), log=traceback.format_exc())


def _store_end(event: Finished | Failed | Stopped, stores: TrainingStores) -> None:
    match event:
        case Stopped():
            stores.rows.stop(event.trial.id, event.cause)
        case Failed():
            stores.rows.fail(
                event.trial.id,
                event.failure,
                timings=event.timings,
                node=event.node,
                processors=event.processors,
            )
        case Finished():
            # Files come before the row, so that a row never names a missing file.
            for content in event.outcome.files.values():
                stores.files.save(content)
            for sha256, probe in event.outcome.probes.items():
                stores.files.save_probe(sha256, probe)
            stores.rows.finish(event.outcome)


def _is_final(event: Finished | Failed | Stopped) -> bool:
    """Return whether the trial has no use for its checkpoint any more."""
    match event:
        case Failed(failure=failure):
            return failure.reason not in _INTERRUPTIONS
        case Stopped(cause=cause):
            return cause.reason not in _INTERRUPTIONS
        case Finished():
            return True


def check_artifact_files(
    states: Sequence[TrialState], files: ArtifactFiles
) -> dict[str, FileState]:
    """Return the state of the file of each artifact, by its SHA-256."""
    file_states: dict[str, FileState] = {}
    for state in states:
        for sha256 in state.artifacts.values():
            file_states[sha256] = files.state(sha256)
    return file_states
