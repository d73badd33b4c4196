"""The plan's new trials → rows and files, each as soon as it is done."""

from collections.abc import Iterator, Sequence

from harness.core.sweep import Resources, Trial
from harness.store.artifacts import ArtifactFiles, FileState
from harness.store.trials import TrialRows, TrialState
from harness.training import cluster
from harness.training.events import Event, Failed, Finished


def train(
    trials: Sequence[Trial], resources: Resources, address: str | None, rows: TrialRows, files: ArtifactFiles
) -> Iterator[Event]:
    """Yields every event after it is stored: what was yielded survives whatever comes."""
    for event in cluster.train(trials, resources, address):
        if isinstance(event, Finished):
            for content in event.outcome.files.values():
                files.save(content)  # before the row: a row never names a file that is not there
            rows.finish(event.outcome)
        elif isinstance(event, Failed):
            rows.fail(event.trial.id, event.failure)
        yield event


def file_states(states: Sequence[TrialState], files: ArtifactFiles) -> dict[str, FileState]:
    return {sha256: files.state(sha256) for state in states for sha256 in state.artifacts.values()}
