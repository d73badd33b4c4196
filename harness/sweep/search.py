"""A search that learns from trainings alone, as Ray Tune's workers and the driver see it."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Lock
from typing import TypeAlias

from harness.config.sweep_file import Point
from harness.core.errors import Reason
from harness.core.search import Search
from harness.store.rows.trials import TrialRows
from harness.sweep.results import TrainedNetwork, compute_score
from harness.sweep.resume import TriedPoint, read_tried_points
from harness.sweep.study import OptunaStudy, SearchPoint, Study, TrialBuilder
from harness.sweep.trials import build_trials_at
from harness.training.events import Failed, Finished, Stopped, SweepEvent
from harness.training.search import CheckpointLoader, Config, SearchedUnits

_End: TypeAlias = Finished | Failed | Stopped


@dataclass
class _PointUnderWay:
    """A point under way, with the ends of its trials so far, by id."""

    point: SearchPoint
    ends: dict[str, _End] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return all(trial.id in self.ends for trial in self.point.trials)


class SweepSearch:
    """The points of a search, in the order in which they are trained.

    Those that an earlier process left unfinished come first. Ray Tune's thread calls `take`. The
    driver calls `note` once an event is stored. A point is reported to the study when the last of
    its trials has ended.
    """

    def __init__(
        self,
        search: Search,
        study: Study,
        build_trials: TrialBuilder,
        tried_points: Sequence[TriedPoint] = (),
        load_checkpoints: CheckpointLoader = lambda _: {},
    ) -> None:
        self.tried_points = tuple(tried_points)
        self.build_trials = build_trials
        self._search = search
        self._study = study
        self._load_checkpoints = load_checkpoints
        self._interrupted: deque[SearchPoint] = deque()
        self._open: dict[int, _PointUnderWay] = {}
        self._lock = Lock()
        for tried in self.tried_points:
            self._adopt(tried)

    @cached_property
    def units(self) -> SearchedUnits:
        """The units of its points, with the checkpoints of those that were interrupted."""
        trainings: set[str] = set()
        for tried in self.tried_points:
            if tried.is_interrupted:
                trainings.update(trial.training for trial in tried.trials)
        return SearchedUnits(self.build_trials, self._load_checkpoints(trainings))

    @property
    def remaining(self) -> int:
        """The number of points that `take` still returns."""
        return len(self._interrupted) + self._study.remaining

    @property
    def is_exhausted(self) -> bool:
        with self._lock:
            return not self.remaining

    def take(self) -> Config | None:
        with self._lock:
            point = self._interrupted.popleft() if self._interrupted else self._study.ask()
            if point is None:
                return None
            self._open[point.number] = _PointUnderWay(point)
            return point.values

    def note(self, event: SweepEvent) -> None:
        if isinstance(event, _End):
            with self._lock:
                for number, open_point in list(self._open.items()):
                    self._note_end(number, open_point, event=event)

    def _note_end(self, number: int, open_point: _PointUnderWay, event: _End) -> None:
        if event.trial.id not in {trial.id for trial in open_point.point.trials}:
            return
        open_point.ends[event.trial.id] = event
        if open_point.has_ended:
            del self._open[number]
            self._report(number, open_point.ends.values())

    def _report(self, number: int, ends: Iterable[_End]) -> None:
        stops = [end.cause.reason for end in ends if isinstance(end, Stopped)]
        if Reason.OUTCLASSED in stops:
            self._study.prune(number, {})
        elif any(isinstance(end, Failed) for end in ends):
            self._study.fail(number)
        elif not stops:  # else the time was up, and the point is continued by a later process
            finished = [end for end in ends if isinstance(end, Finished)]
            self._tell(number, [_read_network(end) for end in finished])

    def _adopt(self, tried: TriedPoint) -> None:
        point = self._study.adopt(tried.values)
        if tried.is_interrupted:
            self._interrupted.append(point)
        elif tried.results.is_outclassed:
            self._study.prune(point.number, {})
        else:
            networks = tried.results.networks
            self._tell(point.number, [networks[trial.id] for trial in tried.trials])

    def _tell(self, number: int, networks: Sequence[TrainedNetwork]) -> None:
        score = compute_score(self._search, networks)
        if score is None:
            self._study.fail(number)
        else:
            self._study.tell(number, score.objectives, violations=score.violations)


def _read_network(finished: Finished) -> TrainedNetwork:
    return TrainedNetwork.of_outcome(finished.trial, finished.outcome)


def resume_search(
    sweep: str, base: Point, rows: TrialRows, load_checkpoints: CheckpointLoader = lambda _: {}
) -> SweepSearch:
    """Return the search by Optuna of a sweep, which goes on from the points that it tried before.

    `base` is any point of the sweep file.
    """
    build_trials = partial(build_trials_at, base)
    search = base.values.search
    return SweepSearch(
        search,
        OptunaStudy(search, build_trials),
        build_trials=build_trials,
        tried_points=read_tried_points(sweep, base, rows=rows),
        load_checkpoints=load_checkpoints,
    )
