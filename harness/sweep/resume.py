"""The state of an adaptive search, read from the rows of its earlier points."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from harness.config.sweep_file import Point
from harness.core.search import Range, Search
from harness.core.sweep import Trial
from harness.store.rows.trials import TrialRows, TrialState
from harness.sweep.trials import build_trials_at
from harness.training.search import (
    ENDED_EARLY,
    AdaptiveSearch,
    TrialResult,
    TriedPoint,
    compute_objectives,
)


def resume_search(sweep: str, base: Point, rows: TrialRows) -> AdaptiveSearch:
    """Return the search of a sweep with the points that it tried before.

    Points outside of its present space are left out, as are those whose trials would differ now.
    """
    search = base.values.search
    tried_points = []
    for point in rows.list_points(sweep):
        if _is_in_space(point, search):
            trials = build_trials_at(base, point)
            tried = _read_tried_point(search, point, trials=trials, rows=rows)
            if tried is not None:
                tried_points.append(tried)
    return AdaptiveSearch(partial(build_trials_at, base), tuple(tried_points))


def _is_in_space(point: Mapping[str, Any], search: Search) -> bool:
    space = search.space or {}
    return set(point) == set(space) and all(
        _is_allowed(point[key], values) for key, values in space.items()
    )


def _is_allowed(value: Any, values: Sequence[Any] | Range) -> bool:
    return values.low <= value <= values.high if isinstance(values, Range) else value in values


def _read_tried_point(
    search: Search, point: Mapping[str, Any], trials: Sequence[Trial], rows: TrialRows
) -> TriedPoint | None:
    states = rows.get_states(trials)
    if len(states) < len({trial.id for trial in trials}):
        return None  # the rest of the sweep file has changed, so that these are other trials
    if any(state.outclassed for state in states.values()):
        return TriedPoint(point, ENDED_EARLY)
    if not all(state.done for state in states.values()):
        return TriedPoint(point)
    return TriedPoint(point, _read_objectives(search, trials, states=states, rows=rows))


def _read_objectives(
    search: Search, trials: Sequence[Trial], states: Mapping[str, TrialState], rows: TrialRows
) -> tuple[float, ...]:
    artifacts = {
        trial_id: next(iter(state.artifacts.values())) for trial_id, state in states.items()
    }
    curves = rows.get_curves(trials)
    sizes = rows.get_artifact_sizes(artifacts.values())
    objectives = compute_objectives(
        TrialResult(trial.recipe, curves[trial.id], size_bytes=sizes[artifacts[trial.id]])
        for trial in trials
    )
    return tuple(objectives[str(objective)] for objective in search.objectives)
