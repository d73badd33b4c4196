"""What of a request is there already, and what is left to do: pure functions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.core.bench import Case, Protocol, Tool
from harness.core.search import Search
from harness.core.sweep import Sweep, Trial
from harness.store.files.artifacts import FileState
from harness.store.rows.trials import TrialState


@dataclass(frozen=True)
class TrialPlan:
    """A trial, and why it is run; `because` is empty where it is done and its files are whole."""

    trial: Trial
    because: str
    artifacts: Mapping[str, str]


@dataclass(frozen=True)
class CasePlan:
    """Cases of known artifacts, and how many more there will be once the new trials are done."""

    new: tuple[Case, ...]
    done: tuple[Case, ...]


def plan_trials(
    sweep: Sweep, states: Mapping[str, TrialState], files: Mapping[str, FileState]
) -> tuple[TrialPlan, ...]:
    """`files` tells of every artifact in `states` whether its file is whole."""
    return tuple(_plan_trial(trial, states.get(trial.id), files, sweep.search) for trial in sweep.trials)


def _plan_trial(trial: Trial, state: TrialState | None, files: Mapping[str, FileState], search: Search) -> TrialPlan:
    if state is None:
        return TrialPlan(trial, "new", {})
    if state.outclassed and search.asha:
        return TrialPlan(trial, "", {})
    if not state.done:
        return TrialPlan(trial, f"{state.status} before", state.artifacts)
    broken = [
        f"artifact {sha256[:12]}… is {files[sha256].value}"
        for sha256 in state.artifacts.values()
        if files[sha256] is not FileState.WHOLE
    ]
    return TrialPlan(trial, "; ".join(broken), state.artifacts)


def plan_cases(
    artifacts: Sequence[str],
    device: str,
    tool: Tool,
    protocols: Sequence[Protocol],
    cpus: Callable[[int], tuple[int, ...]] = lambda _threads: (),
) -> tuple[Case, ...]:
    """A device's: each artifact under each protocol, once. `cpus` tells the affinity of a thread count."""
    cases = (
        Case(artifact, device, tool, protocol, cpus(protocol.threads))
        for protocol in protocols
        for artifact in artifacts
    )
    return tuple({case.id: case for case in cases}.values())


def split_cases(cases: Sequence[Case], measured: Collection[str], force: bool = False) -> CasePlan:
    """`force` measures again what has been measured."""
    new = tuple(case for case in cases if force or case.id not in measured)
    return CasePlan(new, tuple(case for case in cases if not force and case.id in measured))
