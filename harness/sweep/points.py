"""The points of a sweep file as a study: of Optuna, or of a list for a grid or random points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from harness.config.search import draw_points
from harness.config.sweep_file import Point
from harness.core.sweep import Trial
from harness.store.rows.trials import TrialRows
from harness.sweep.resume import TriedPoint, read_tried_point, read_tried_points
from harness.sweep.study import ListedStudy, OptunaStudy, Study, TrialBuilder, identify_point
from harness.sweep.trials import build_trials, build_trials_at
from harness.training.search import Config


@dataclass(frozen=True)
class ListedTrials:
    """A builder of the trials of points that are all known; workers get a copy."""

    by_point: Mapping[str, tuple[Trial, ...]]

    def __call__(self, values: Config) -> tuple[Trial, ...]:
        return self.by_point[identify_point(values)]


class SweepStudy(NamedTuple):
    """A study, the builder of its points' trials, and the points that were tried before."""

    study: Study
    build_trials: TrialBuilder
    tried_points: tuple[TriedPoint, ...]


def open_study(sweep: str, points: Sequence[Point], rows: TrialRows) -> SweepStudy:
    """Return the study of a sweep file, whose `points` are those that its reader returned."""
    search = points[0].values.search
    if search.method == "optuna":
        adaptive = partial(build_trials_at, points[0])
        tried_points = read_tried_points(sweep, points[0], rows=rows)
        return SweepStudy(OptunaStudy(search, adaptive), adaptive, tried_points=tried_points)
    trials = _list_trials(points)
    builder = ListedTrials(trials)
    tried_points = tuple(
        read_tried_point(values, builder(values), rows=rows)
        for values in rows.list_points(sweep)
        if identify_point(values) in trials
    )
    listed = ListedStudy(map(_list_values, points), builder)
    return SweepStudy(listed, builder, tried_points=tried_points)


def list_study(points: Sequence[Point]) -> ListedStudy:
    """Return the points of a sweep file, all of which are known before anything is trained.

    Those of an adaptive search are drawn at random.
    """
    search = points[0].values.search
    if search.method == "optuna":
        return ListedStudy(draw_points(search), partial(build_trials_at, points[0]))
    return ListedStudy(map(_list_values, points), ListedTrials(_list_trials(points)))


def _list_trials(points: Sequence[Point]) -> dict[str, tuple[Trial, ...]]:
    return {identify_point(_list_values(point)): tuple(build_trials(point)) for point in points}


def _list_values(point: Point) -> dict[str, Any]:
    return {setting.key: setting.value for setting in point.settings}
