"""The points that a search has tried before, read from their rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.config.sweep_file import Point
from harness.core.search import Range, Search
from harness.core.sweep import Trial
from harness.store.rows.trials import TrialRows
from harness.sweep.results import PointResults, read_point_results
from harness.sweep.trials import build_trials_at

_ROUNDING = 1e-8  # of a step, as Optuna allows


@dataclass(frozen=True)
class TriedPoint:
    """A point that the search has started before, with its results so far.

    It was interrupted if a trial is not done, and none was ended because others did better.
    """

    values: Mapping[str, Any]
    trials: tuple[Trial, ...]
    results: PointResults = field(default_factory=PointResults)

    @property
    def is_interrupted(self) -> bool:
        is_done = all(trial.id in self.results.networks for trial in self.trials)
        return not is_done and not self.results.is_outclassed


def read_tried_points(sweep: str, base: Point, rows: TrialRows) -> tuple[TriedPoint, ...]:
    """Return the points that the sweep's search has tried, the earliest first.

    Points outside of its present space are left out, as are those whose trials would differ now.
    """
    tried_points = []
    for values in rows.list_points(sweep):
        if _is_in_space(values, base.values.search):
            tried = read_tried_point(values, build_trials_at(base, values), rows=rows)
            if tried.results.is_stored:  # else these are other trials, of another sweep file
                tried_points.append(tried)
    return tuple(tried_points)


def read_tried_point(
    values: Mapping[str, Any], trials: tuple[Trial, ...], rows: TrialRows
) -> TriedPoint:
    return TriedPoint(values, trials, results=read_point_results(trials, rows))


def list_tried_trials(tried_points: Iterable[TriedPoint]) -> list[Trial]:
    """Return the trials of the points, in their order."""
    trials: list[Trial] = []
    for tried in tried_points:
        trials += tried.trials
    return trials


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
