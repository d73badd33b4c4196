"""What a search that finds its points as it goes has tried before, read from the rows: it goes on from there."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from harness.config.sweep_file import Point
from harness.core.search import Range, Search
from harness.core.sweep import Trial
from harness.store.rows.trials import TrialRows, TrialState
from harness.sweep.trials import build_trials_at
from harness.training.search import ENDED_EARLY, AdaptiveSearch, TriedPoint, objectives


def resume_search(sweep: str, base: Point, rows: TrialRows) -> AdaptiveSearch:
    """The search of a sweep; points that its file would not try, or not so, are no part of it."""
    search = base.values.search
    allowed = [point for point in rows.list_points(sweep) if _allows(search, point)]
    tried = (
        _tried(search, point, trials=build_trials_at(base, point), rows=rows) for point in allowed
    )
    return AdaptiveSearch(partial(build_trials_at, base), tuple(one for one in tried if one))


def _allows(search: Search, point: Mapping[str, Any]) -> bool:
    space = search.space or {}
    return set(point) == set(space) and all(
        _holds(values, point[key]) for key, values in space.items()
    )


def _holds(values: Sequence[Any] | Range, value: Any) -> bool:
    return values.low <= value <= values.high if isinstance(values, Range) else value in values


def _tried(
    search: Search, point: Mapping[str, Any], trials: Sequence[Trial], rows: TrialRows
) -> TriedPoint | None:
    states = rows.get_states(trials)
    if len(states) < len({trial.id for trial in trials}):
        return None  # the file says something else around it than it did then
    if any(state.outclassed for state in states.values()):
        return TriedPoint(point, ENDED_EARLY)
    if not all(state.done for state in states.values()):
        return TriedPoint(point)
    return TriedPoint(point, _objectives(search, trials, states=states, rows=rows))


def _objectives(
    search: Search, trials: Sequence[Trial], states: Mapping[str, TrialState], rows: TrialRows
) -> tuple[float, ...]:
    curves = rows.get_curves(trials)
    sizes = rows.get_artifact_sizes(
        [sha256 for state in states.values() for sha256 in state.artifacts.values()]
    )
    files = {trial_id: next(iter(state.artifacts.values())) for trial_id, state in states.items()}
    found = objectives((trial.recipe, curves[trial.id], sizes[files[trial.id]]) for trial in trials)
    return tuple(found[objective] for objective in search.objectives)
