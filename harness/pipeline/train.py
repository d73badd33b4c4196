"""The plan's new trials → rows and files, each as soon as it is done."""

from collections.abc import Iterator, Sequence

from harness.core.sweep import Sweep, Trial
from harness.store.artifacts import ArtifactFiles, FileState
from harness.store.trials import TrialRows, TrialState
from harness.training import cluster
from harness.training.events import Failed, Finished, Ready, TrialEvent


def train(
    sweep: Sweep, new: Sequence[Trial], address: str | None, rows: TrialRows, files: ArtifactFiles
) -> Iterator[TrialEvent]:
    """Trains the `new` ones of a sweep's trials; yields every event after it is stored: what was told is not lost."""
    if not new:
        rows.submit(sweep, new)
        return
    for event in cluster.train(new, sweep.resources, address):
        if isinstance(event, Ready):
            rows.submit(sweep, new)  # not before: a request that Ray refuses leaves no trace
            continue
        if isinstance(event, Finished):
            for content in event.outcome.files.values():
                files.save(content)  # before the row: a row never names a file that is not there
            for sha256, probe in event.outcome.probes.items():
                files.save_probe(sha256, probe)
            rows.finish(event.outcome)
        elif isinstance(event, Failed):
            rows.fail(event.trial.id, event.failure, event.timings, event.node)
        yield event


def file_states(states: Sequence[TrialState], files: ArtifactFiles) -> dict[str, FileState]:
    return {sha256: files.state(sha256) for state in states for sha256 in state.artifacts.values()}
