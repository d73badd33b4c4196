"""A search that hears devices: networks are measured first, and only feasible ones are trained."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil

from harness.core.errors import Reason
from harness.core.feasibility import Feasibility
from harness.core.forms import Form
from harness.core.rating import Rating, Targets, rate
from harness.core.search import Search
from harness.core.sweep import Failure, Trial
from harness.fleet.events import FleetEvent
from harness.pipeline.first_looks import FirstLooks
from harness.pipeline.look_checks import LookChecks
from harness.pipeline.networks import Networks
from harness.pipeline.point_rows import PointRows
from harness.pipeline.readings import Readings
from harness.pipeline.search_events import (
    NothingFeasible,
    PointFailed,
    PointFeasible,
    PointInfeasible,
    PointProposed,
    PointTold,
    SearchEvent,
)
from harness.sweep.results import PointResults
from harness.sweep.study import SearchPoint, Study
from harness.training.events import Failed, SweepEvent
from harness.training.search import Config, SearchedUnits

FEW_POINTS = 10
"""After this many infeasible points and no other, people hear that nothing may be feasible."""


class Stage(Enum):
    """The stage of a point: measured untrained, in training, or waiting for its last number."""

    LOOKING = "looking"
    TRAINING = "training"
    TRAINED = "trained"


@dataclass
class _OpenPoint:
    """A point without a result; `is_ordered` if its untrained networks are being measured."""

    point: SearchPoint
    stage: Stage
    is_ordered: bool = False


@dataclass
class _Counts:
    feasible: int = 0
    infeasible: int = 0


class DeviceSearch:
    """A search whose points wait for devices before their training, and are told after it.

    The thread that writes rows calls `note`, `note_fleet` and `advance`; the thread of Ray Tune
    calls `take`. A point is told when its last number is there. If the device of a number is set
    aside, the point is trained and stays open: the next submission tells it.

    Unless it `trains`, a point is released only when all of its numbers are there. Otherwise, those
    of the constraints suffice.
    """

    def __init__(
        self,
        study: Study,
        units: SearchedUnits,
        *,
        search: Search,
        targets: Targets,
        looks: FirstLooks,
        readings: Readings,
        find_form: Callable[[Trial], Form | None],
        measure: Callable[[Sequence[str]], None],
        rows: PointRows,
        trains: bool = True,
    ) -> None:
        self.units = units
        self.is_exhausted = False
        """Whether every point that will be trained has been taken."""
        self._study = study
        self._search = search
        self._targets = targets
        self._looks = looks
        self._readings = readings
        self._measure = measure
        self._rows = rows
        self._trains = trains
        self._checks = LookChecks(targets, readings, distrusted=rows.read_distrusted())
        self._networks = Networks(looks, self._checks, find_form=find_form)
        self._open: list[_OpenPoint] = []
        self._ready: deque[Config] = deque()
        self._released: set[str] = set()  # trials
        self._ordered: set[str] = set()  # artifacts
        self._counts = _Counts()
        self._nearest: tuple[float, PointInfeasible] | None = None
        self._is_closed = False

    def adopt(self, point: SearchPoint, results: PointResults) -> None:
        """Continue a point that an earlier process began, from whatever the rows hold of it."""
        if results.is_outclassed:
            self._study.prune(point.number, {})
        else:
            self._begin(point, results)

    def take(self) -> Config | None:
        """Return a point to train, or None if none is ready yet."""
        return self._ready.popleft() if self._ready else None

    def note(self, event: SweepEvent) -> None:
        """Take note of an event of the training, after it is stored."""
        self._networks.note(event)

    def note_fleet(self, event: FleetEvent) -> None:
        """Take note of an event of the fleet, after it is stored."""
        self._readings.note(event)

    def advance(self) -> Iterator[SearchEvent | Failed]:
        """Do all that can be done now: order measurements, release, tell and propose points.

        A trial whose network can't be built ends with a Failed.
        """
        self._looks.collect()
        yield from self._checks.find_misleading()
        for opened in self._open.copy():
            yield from self._settle(opened)
        while self._wants_point() and (point := self._study.ask()) is not None:
            opened = self._begin(point, self._rows.read_results(point.trials))
            yield PointProposed(point)
            yield from self._settle(opened)
        self.is_exhausted = not (self._study.remaining or self._count(Stage.LOOKING) or self._ready)

    def close(self) -> None:
        """Propose no more, as the training has ended; store what its budget left untrained."""
        self._is_closed = True
        if self._search.budget_s is None:
            return
        message = f"The search used up its budget of {self._search.budget_s:g} s."
        for opened in self._open:
            for trial in opened.point.trials:
                if not self._networks.has_ended(trial):
                    self._rows.stop(trial, Failure(Reason.BUDGET, message))

    def _wants_point(self) -> bool:
        """Return whether to look at one more point now.

        Results make later proposals better. So only as many are under way as keep one point ready
        for the next worker, given the share of feasible ones.
        """
        looking = self._count(Stage.LOOKING)
        if self._is_closed or looking + self._count(Stage.TRAINED) >= self._search.max_waiting:
            return False
        if self._study.draws_blindly:
            return True
        share = (self._counts.feasible + 1) / (self._counts.feasible + self._counts.infeasible + 2)
        in_training = self._count(Stage.TRAINING) - len(self._ready)
        return looking < ceil((in_training + 1 - len(self._ready)) / share)

    def _count(self, stage: Stage) -> int:
        return sum(opened.stage is stage for opened in self._open)

    def _begin(self, point: SearchPoint, results: PointResults) -> _OpenPoint:
        forms = self._networks.begin(point, results.networks)
        is_trained = all(map(self._networks.is_trained, point.trials))
        opened = _OpenPoint(point, Stage.TRAINED if is_trained else Stage.LOOKING)
        if not is_trained:
            self._rows.begin(point, forms)
        self._looks.request(forms.values())
        self._open.append(opened)
        return opened

    def _settle(self, opened: _OpenPoint) -> Iterator[SearchEvent | Failed]:
        """Take a point as far as it can go now."""
        self._order(opened)
        if opened.stage is Stage.LOOKING:
            yield from self._judge(opened)
        if opened.stage is Stage.TRAINING:
            yield from self._end_training(opened)
        if opened.stage is Stage.TRAINED:
            yield from self._tell(opened)

    def _order(self, opened: _OpenPoint) -> None:
        """Have the untrained networks of a point measured together, once all are built."""
        untrained = self._networks.list_untrained(opened.point)
        if opened.is_ordered or untrained is None:
            return
        opened.is_ordered = True
        if missing := [artifact for artifact in untrained if artifact not in self._ordered]:
            self._ordered.update(missing)
            self._readings.ask(missing)
            self._measure(missing)

    def _judge(self, opened: _OpenPoint) -> Iterator[SearchEvent | Failed]:
        """Release a point that keeps the constraints, and end one that does not."""
        if failure := self._networks.find_failure(opened.point):
            yield from self._fail(opened, failure)
            return
        rating = self._rate(opened)
        if rating.verdict is Feasibility.INFEASIBLE:
            yield from self._refuse(opened, rating)
        elif self._is_free(rating) or self._is_in_vain(opened, rating):
            opened.stage = Stage.TRAINING
            self._counts.feasible += 1
            ids = {trial.id for trial in opened.point.trials}
            if self._released.isdisjoint(ids):  # otherwise an equal point is being trained
                self._released |= ids
                self._ready.append(opened.point.values)
            yield PointFeasible(opened.point, rating)

    def _is_free(self, rating: Rating) -> bool:
        """Return whether a point may be trained."""
        is_complete = self._trains or not rating.missing
        return rating.verdict is Feasibility.FEASIBLE and is_complete

    def _is_in_vain(self, opened: _OpenPoint, rating: Rating) -> bool:
        """Return whether nothing more will be heard before the training of a point."""
        if not any(map(self._networks.expects_look, opened.point.trials)):
            return True
        return opened.is_ordered and rating.missing <= self._readings.absent

    def _end_training(self, opened: _OpenPoint) -> Iterator[SearchEvent]:
        trials = opened.point.trials
        if all(map(self._networks.is_trained, trials)):
            opened.stage = Stage.TRAINED
        if opened.stage is Stage.TRAINED or not all(map(self._networks.has_ended, trials)):
            return
        ends = self._networks.ends
        causes = [ends[trial.id] for trial in trials if trial.id in ends]
        reasons = {cause.reason for cause in causes}
        self._open.remove(opened)
        if Reason.OUTCLASSED in reasons:
            self._study.prune(opened.point.number, self._rate(opened).violations)
        elif Reason.BUDGET not in reasons:
            self._study.fail(opened.point.number)
            yield PointFailed(opened.point, causes[0])

    def _tell(self, opened: _OpenPoint) -> Iterator[SearchEvent]:
        """Tell the study a trained point whose last number is there."""
        rating = self._rate(opened)
        objectives = {**self._networks.average(opened.point), **rating.objectives}
        names = list(map(str, self._search.objectives))
        is_complete = objectives.keys() >= set(names)
        if rating.failure:
            self._open.remove(opened)
            self._study.fail(opened.point.number)
            yield PointFailed(opened.point, Failure(Reason.INFEASIBLE, rating.failure))
        elif is_complete and rating.verdict is not Feasibility.UNDECIDED:
            self._open.remove(opened)
            values = {name: objectives[name] for name in names}
            self._study.tell(opened.point.number, list(values.values()), rating.violations)
            is_feasible = rating.verdict is Feasibility.FEASIBLE
            yield PointTold(opened.point, values, is_feasible=is_feasible)
        elif rating.missing <= self._readings.absent:
            self._open.remove(opened)  # the study keeps it as under way

    def _refuse(self, opened: _OpenPoint, rating: Rating) -> Iterator[SearchEvent]:
        cause = Failure(Reason.INFEASIBLE, rating.complaint)
        for trial in opened.point.trials:
            if not self._networks.is_trained(trial):
                self._rows.stop(trial, cause)
        self._study.prune(opened.point.number, rating.violations)
        self._open.remove(opened)
        event = PointInfeasible(opened.point, cause, rating=rating)
        yield event
        self._counts.infeasible += 1
        violation = sum(max(0.0, violation) for violation in rating.violations.values())
        if self._nearest is None or violation < self._nearest[0]:
            self._nearest = violation, event
        if self._counts == _Counts(feasible=0, infeasible=FEW_POINTS):
            yield NothingFeasible(FEW_POINTS, self._nearest[1])

    def _fail(self, opened: _OpenPoint, failure: Failure) -> Iterator[SearchEvent | Failed]:
        """End a point of which a network can't be built."""
        for trial in opened.point.trials:
            if not self._networks.is_trained(trial):
                self._rows.fail(trial, failure)
                yield Failed(trial, failure)
        self._study.fail(opened.point.number)
        self._open.remove(opened)
        yield PointFailed(opened.point, failure)

    def _rate(self, opened: _OpenPoint) -> Rating:
        networks = self._networks.list_networks(opened.point)
        return rate(self._search, networks, targets=self._targets, readings=self._readings.by_case)
