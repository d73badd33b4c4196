"""The plan of a sweep: which trials are finished and which must be trained. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.search import Search
from harness.core.sweep import Sweep, Trial
from harness.store.files.artifacts import FileState
from harness.store.rows.trials import TrialState


@dataclass(frozen=True)
class TrialPlan:
    """A trial and the reason to train it; empty if it is done and its files are intact."""

    trial: Trial
    reason: str
    artifacts: Mapping[str, str]


def plan_trials(
    sweep: Sweep, states: Mapping[str, TrialState], files: Mapping[str, FileState]
) -> tuple[TrialPlan, ...]:
    """Plan each trial of the sweep; `files` holds the state of each artifact in `states`."""
    return tuple(
        _plan_trial(trial, states.get(trial.id), files=files, search=sweep.search)
        for trial in sweep.trials
    )


def _plan_trial(
    trial: Trial, state: TrialState | None, files: Mapping[str, FileState], search: Search
) -> TrialPlan:
    if state is None:
        return TrialPlan(trial, "new", artifacts={})
    if state.outclassed and search.asha:
        return TrialPlan(trial, "", artifacts={})
    if not state.done:
        return TrialPlan(trial, f"{state.status} before", artifacts=state.artifacts)
    damage = [
        f"artifact {sha256[:12]}… is {files[sha256].value}"
        for sha256 in state.artifacts.values()
        if files[sha256] is not FileState.INTACT
    ]
    return TrialPlan(trial, "; ".join(damage), artifacts=state.artifacts)
