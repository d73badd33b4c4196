"""The state of a training and a bench that run in this process, gathered event by event."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from harness.report.terminal.estimate import (
    DeviceRest,
    RunningTrial,
    estimate_training,
    estimate_whole,
)
from harness.report.terminal.work_view import (
    ArtifactsView,
    DeviceState,
    DeviceView,
    FrontPoint,
    SweepView,
    TrialView,
    WorkView,
)

AWAITS_TRAINING = "waiting until training is over"


@dataclass(frozen=True)
class TrainingPlan:
    """A sweep of which so many trials are to be trained.

    `cases_per_trial` is how many cases each of them makes for a device, by the device's id.
    """

    sweep: str
    trials: int
    cases_per_trial: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _TrialState:
    epochs: int
    started: float
    epoch: int = 0
    note: str = ""


class TrainingState:
    """The progress of a sweep's trials; times are of the clock, in seconds."""

    def __init__(self, plan: TrainingPlan, clock: Callable[[], float]) -> None:
        self.plan = plan
        self._clock = clock
        self._running: dict[str, _TrialState] = {}
        self._finished_s: list[float] = []
        self._total = plan.trials
        self._done = self._failed = 0

    def step(self, trial: str, completed: int, total: int, note: str) -> None:
        """Note that so many of a trial's epochs have ended; with 0, it starts or waits again."""
        if completed == 0 or trial not in self._running:
            self._running[trial] = _TrialState(total, self._clock())
        state = self._running[trial]
        state.epoch, state.note = completed, note

    def requeue(self, trial: str) -> None:
        """Note that a trial will be tried again, after the others."""
        self._running.pop(trial, None)

    def end(self, trial: str, *, is_failed: bool) -> None:
        state = self._running.pop(trial, None)
        if is_failed:
            self._failed += 1
            return
        self._done += 1
        if state is not None:
            self._finished_s.append(self._clock() - state.started)

    def skip(self, trials: int) -> None:
        """Note that so many trials will not be trained."""
        self._total -= trials

    @property
    def trials_left(self) -> int:
        return max(0, self._total - self._done - self._failed)

    def estimate(self) -> float | None:
        now = self._clock()
        running = [
            RunningTrial(now - state.started, state.epoch / max(1, state.epochs))
            for state in self._running.values()
        ]
        waiting = max(0, self.trials_left - len(running))
        return estimate_training(self._finished_s, running, waiting=waiting)

    def view(self) -> SweepView:
        now = self._clock()
        running = tuple(
            TrialView(
                name,
                state.epoch,
                epochs=state.epochs,
                seconds=now - state.started,
                note=state.note,
            )
            for name, state in self._running.items()
        )
        return SweepView(
            self.plan.sweep,
            self._total,
            done=self._done,
            failed=self._failed,
            running=running,
            remaining_s=self.estimate(),
        )


@dataclass
class BenchedDevice:
    """Progress of one device: `finished` of `total` cases, and the worth of those under way.

    Its clock stands while nothing is to measure: `started` is None then, and `earlier_s` has the
    time before. `cases` counts the open cases of each artifact, and `unplanned` artifacts were
    ordered before the device was ready.
    """

    clock: Callable[[], float]
    text: str = ""
    total: int | None = None
    finished: int = 0
    under_way: float = 0.0
    temperature_c: float | None = None
    ended: bool = False
    trouble: str = ""
    awaits_training: bool = False
    earlier_s: float = 0.0
    started: float | None = None
    cases: Counter[str] = field(default_factory=Counter)
    measuring: set[str] = field(default_factory=set)
    unplanned: set[str] = field(default_factory=set)

    def add_cases(self, ordered: Iterable[str], to_measure: Sequence[str]) -> None:
        """Note the plan of ordered artifacts: `to_measure` has the artifact of each new case."""
        self.unplanned.difference_update(ordered)
        self.cases.update(to_measure)
        self.total = (self.total or 0) + len(to_measure)
        self.text = ""
        if self.started is None and to_measure:
            self.started = self.clock()

    def update(self, artifact: str, text: str, progress: float) -> None:
        if artifact in self.cases:
            self.measuring.add(artifact)
        self.text, self.under_way = text, progress

    def end_case(self, artifact: str) -> None:
        self.finished += 1
        self.under_way = max(0.0, self.under_way - 1)
        self.text = ""
        self.cases[artifact] -= 1
        if self.cases[artifact] <= 0:
            del self.cases[artifact]
            self.measuring.discard(artifact)
        if self.total is not None and self.finished >= self.total:
            self.earlier_s, self.started = self._worked_s(), None

    def end(self) -> None:
        self.ended = True
        self.text = self.trouble or "done"
        self.cases.clear()
        self.measuring.clear()
        self.unplanned.clear()

    def _worked_s(self) -> float:
        """Return for how long there was something to measure."""
        return self.earlier_s + (0.0 if self.started is None else self.clock() - self.started)

    @property
    def completed(self) -> float:
        return self.finished + self.under_way

    @property
    def seconds_per_case(self) -> float | None:
        return self._worked_s() / self.completed if self.completed else None

    @property
    def cases_left(self) -> float:
        return 0.0 if self.ended else max(0.0, (self.total or 0) - self.completed)

    def remaining_s(self) -> float | None:
        """Return the estimated time left, judging by how long the cases took so far."""
        pace = self.seconds_per_case
        if self.ended or self.total is None or pace is None:
            return None
        return pace * self.cases_left

    @property
    def state(self) -> DeviceState:
        if self.trouble:
            return DeviceState.TROUBLED
        if self.ended:
            return DeviceState.DONE
        return DeviceState.MEASURING if self.cases_left else DeviceState.WAITING


class WorkState:
    """The state of a training, of a bench, or of both; safe for a thread that shows it."""

    def __init__(
        self, training: TrainingPlan | None, devices: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self.lock = Lock()
        self.training = TrainingState(training, clock) if training is not None else None
        self.devices = {device: BenchedDevice(clock) for device in devices}
        self.waiting_artifacts = 0
        self.front: tuple[FrontPoint, ...] = ()
        self.headings: tuple[str, ...] = ()

    def order(self, artifacts: Iterable[str], waiting: int) -> None:
        """Note artifacts that devices will measure, and how many wait for their twins."""
        self.waiting_artifacts = waiting
        for device in self.devices.values():
            if not device.ended:
                device.unplanned.update(artifacts)

    def view(self) -> WorkView:
        with self.lock:
            return WorkView(
                sweeps=() if self.training is None else (self.training.view(),),
                artifacts=self._view_artifacts(),
                devices=tuple(_view_device(id, device) for id, device in self.devices.items()),
                front=self.front,
                headings=self.headings,
                remaining=estimate_whole(*self._list_rests()),
            )

    def _view_artifacts(self) -> ArtifactsView | None:
        if self.training is None:
            return None
        measuring: set[str] = set()
        under_way: set[str] = set()
        for device in self.devices.values():
            measuring |= device.measuring
            under_way |= device.cases.keys() | device.unplanned
        return ArtifactsView(
            self.waiting_artifacts, queued=len(under_way - measuring), measuring=len(measuring)
        )

    def _list_rests(self) -> tuple[float | None, list[DeviceRest]]:
        training_s = 0.0 if self.training is None else self.training.estimate()
        rests = [
            DeviceRest(
                device.cases_left,
                device.seconds_per_case,
                future=self._count_future(id, device),
                latest=self._cases_per_trial(id),
                starts_after_training=device.awaits_training,
            )
            for id, device in self.devices.items()
            if not device.ended
        ]
        return training_s, rests

    def _count_future(self, id: str, device: BenchedDevice) -> float:
        """Return how many cases of a device are to come, of trials and of ordered artifacts."""
        if self.training is None:
            return 0.0
        return self._cases_per_trial(id) * self.training.trials_left + len(device.unplanned)

    def _cases_per_trial(self, device: str) -> float:
        return self.training.plan.cases_per_trial.get(device, 0.0) if self.training else 0.0


def _view_device(id: str, device: BenchedDevice) -> DeviceView:
    return DeviceView(
        id,
        device.state,
        doing=device.text,
        finished=device.finished,
        total=device.total,
        remaining_s=device.remaining_s(),
        temperature_c=device.temperature_c,
    )
