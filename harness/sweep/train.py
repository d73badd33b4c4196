"""The plan's new trials → rows and files, each as soon as it is done."""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness import data
from harness.core.errors import DataUnavailable, Reason
from harness.core.sweep import Failure, Sweep, Trial
from harness.data import Dataset
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.files.checkpoints import CheckpointFiles
from harness.store.rows.trials import TrialRows, TrialState
from harness.training import ray_cluster
from harness.training.events import (
    Checkpoint,
    ClusterReady,
    Event,
    Failed,
    Finished,
    PointStarted,
    Stopped,
    TrialEvent,
)
from harness.training.search import AdaptiveSearch, FixedUnits, UnitSource
from harness.training.unit import group_trials

# A training that ended so may have got further than its start, and goes on from there when it is submitted again.
_INTERRUPTED = (Reason.KILLED, Reason.OUT_OF_MEMORY, Reason.LOST, Reason.BUDGET)


@dataclass(frozen=True)
class TrainingStores:
    """Where what happens in training is kept."""

    rows: TrialRows
    files: ArtifactFiles
    checkpoints: CheckpointFiles


def train(
    sweep: Sweep,
    new: Sequence[Trial],
    search: AdaptiveSearch | None,
    address: str | None,
    stores: TrainingStores,
) -> Iterator[TrialEvent]:
    """Trains the `new` ones of a sweep's trials, or what its `search` finds.

    Yields every event after it is stored: what was told is not lost.
    """
    left = {trial.id: trial for trial in new}
    for event in _events(
        sweep, new, search=search, address=address, checkpoints=stores.checkpoints
    ):
        match event:
            case ClusterReady():
                stores.rows.submit(
                    sweep, new
                )  # not before: a request that Ray refuses leaves no trace
            case PointStarted():
                stores.rows.submit_point(sweep.name, event.point, sampled=event.trials)
                left |= {trial.id: trial for trial in event.trials}
            case Checkpoint():
                stores.checkpoints.save(event.key, event.content)
            case Finished() | Failed() | Stopped():
                _end(event, stores)
                left.pop(event.trial.id, None)
                if _over(event) and event.trial.training not in {
                    trial.training for trial in left.values()
                }:
                    stores.checkpoints.delete(event.trial.training)
                yield event
            case _:
                yield event


def _events(
    sweep: Sweep,
    new: Sequence[Trial],
    search: AdaptiveSearch | None,
    address: str | None,
    checkpoints: CheckpointFiles,
) -> Iterator[Event]:
    """Ready first, whatever comes."""
    if not new and search is None:
        return iter((ClusterReady(),))
    saved = checkpoints.load(
        {trial.training for trial in (new if search is None else search.tried_trials())}
    )
    work: UnitSource = (
        FixedUnits(group_trials(new, saved)) if search is None else replace(search, saved=saved)
    )
    needed = set(sweep.sources) if search else {trial.dataset for trial in new}
    datasets = {name: _dataset(sweep.sources[name]) for name in needed}
    return ray_cluster.train(
        work, datasets, resources=sweep.resources, search=sweep.search, address=address
    )


def _dataset(source: str) -> Dataset | Failure:
    """Or why it can't be had, which is the end of the trials that need it and of no other."""
    try:
        return data.load(source)
    except DataUnavailable as error:
        return Failure(Reason.NO_DATA, str(error), log=traceback.format_exc())


def _end(event: Finished | Failed | Stopped, stores: TrainingStores) -> None:
    if isinstance(event, Stopped):
        stores.rows.stop(event.trial.id, event.cause)
        return
    if isinstance(event, Failed):
        stores.rows.fail(event.trial.id, event.failure, event.timings, event.node)
        return
    for content in event.outcome.files.values():
        stores.files.save(content)  # before the row: a row never names a file that is not there
    for sha256, probe in event.outcome.probes.items():
        stores.files.save_probe(sha256, probe)
    stores.rows.finish(event.outcome)


def _over(event: Finished | Failed | Stopped) -> bool:
    match event:
        case Failed(failure=cause) | Stopped(cause=cause):
            return cause.reason not in _INTERRUPTED
        case _:
            return True


def check_artifact_files(
    states: Sequence[TrialState], files: ArtifactFiles
) -> dict[str, FileState]:
    return {sha256: files.state(sha256) for state in states for sha256 in state.artifacts.values()}
