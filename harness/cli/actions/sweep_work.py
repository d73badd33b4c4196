"""The parts that all ways to submit a sweep share: its stores, its artifacts and its plan."""

from collections.abc import Iterable, Sequence

from harness.cli.actions.bench import BenchOptions
from harness.cli.actions.session import Session
from harness.core.device import Device
from harness.core.sweep import Sweep, Trial
from harness.report.terminal.work_state import TrainingPlan
from harness.sweep.train import TrainingStores


def make_training_stores(session: Session) -> TrainingStores:
    return TrainingStores(
        session.trials,
        session.files,
        checkpoints=session.checkpoints,
        searches=session.searches,
        running=session.running,
    )


def plan_training(
    sweep: Sweep, trials: Sequence[Trial], devices: Sequence[Device], repeats: int = 1
) -> TrainingPlan:
    """Return the plan of these trials, or of `repeats` points that each have as many."""
    options, artifacts = BenchOptions(sweep.protocols), repeats * count_formats(trials)
    planned = repeats * len(trials)
    cases = {device.id: artifacts * len(options.protocols_for(device)) for device in devices}
    return TrainingPlan(
        sweep.name,
        planned,
        cases_per_trial={id: count / max(1, planned) for id, count in cases.items()},
    )


def count_formats(trials: Iterable[Trial]) -> int:
    return sum(len(trial.convert.formats) for trial in trials)


def list_artifacts(session: Session, trials: Sequence[Trial]) -> list[str]:
    artifacts: list[str] = []
    for state in session.trials.get_states(trials).values():
        artifacts += state.artifacts.values()
    return artifacts
