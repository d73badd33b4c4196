"""The points that a search has tried before, read from their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config.sweep_file import Point
from harness.core.search import Range, Search
from harness.core.sweep import Trial
from harness.store.rows.trials import TrialRows, TrialState
from harness.sweep.scores import TrialResult
from harness.sweep.trials import build_trials_at

_ROUNDING = 1e-8  # of a step, as Optuna allows


@dataclass(frozen=True)
class TriedPoint:
    """A point that the search has started before.

    It has the `results` of its trials if all have finished. It was interrupted if it has none, and
    was not ended early because others did better.
    """

    values: Mapping[str, Any]
    trials: tuple[Trial, ...]
    results: tuple[TrialResult, ...] = ()
    is_outclassed: bool = False

    @property
    def is_interrupted(self) -> bool:
        return not self.results and not self.is_outclassed


def read_tried_points(sweep: str, base: Point, rows: TrialRows) -> tuple[TriedPoint, ...]:
    """Return the points that the sweep's search has tried, the earliest first.

    Points outside of its present space are left out, as are those whose trials would differ now.
    """
    tried_points = []
    for values in rows.list_points(sweep):
        if _is_in_space(values, base.values.search):
            trials = build_trials_at(base, values)
            states = rows.get_states(trials)
            # There are fewer if the rest of the sweep file has changed: these are other trials.
            if len(states) == len({trial.id for trial in trials}):
                tried_points.append(_read_tried_point(values, trials, states=states, rows=rows))
    return tuple(tried_points)


def _is_in_space(values: Mapping[str, Any], search: Search) -> bool:
    space = search.space or {}
    return set(values) == set(space) and all(
        _is_allowed(values[key], choices) for key, choices in space.items()
    )


def _is_allowed(value: Any, choices: Sequence[Any] | Range) -> bool:
    if not isinstance(choices, Range):
        return value in choices
    if not choices.low <= value <= choices.high:
        return False
    is_integer = isinstance(choices.low, int) and isinstance(choices.high, int)
    step = choices.step or (1 if is_integer else None)
    if step is None:
        return True
    steps = (value - choices.low) / step
    return bool(abs(steps - round(steps)) < _ROUNDING)


def _read_tried_point(
    values: Mapping[str, Any],
    trials: tuple[Trial, ...],
    states: Mapping[str, TrialState],
    rows: TrialRows,
) -> TriedPoint:
    if any(state.outclassed for state in states.values()):
        return TriedPoint(values, trials, is_outclassed=True)
    if not all(state.done for state in states.values()):
        return TriedPoint(values, trials)
    return TriedPoint(values, trials, results=_read_results(trials, states, rows=rows))


def _read_results(
    trials: Sequence[Trial], states: Mapping[str, TrialState], rows: TrialRows
) -> tuple[TrialResult, ...]:
    artifacts = {
        trial_id: next(iter(state.artifacts.values())) for trial_id, state in states.items()
    }
    curves = rows.get_curves(trials)
    sizes = rows.get_artifact_sizes(artifacts.values())
    return tuple(
        TrialResult(trial.recipe, curves[trial.id], size_bytes=sizes[artifacts[trial.id]])
        for trial in trials
    )
