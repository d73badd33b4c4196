"""Progress of a training, a bench, or both: one live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live

from harness.report.terminal.work_state import AWAITS_TRAINING, TrainingPlan, WorkState
from harness.report.terminal.work_view import FrontPoint, describe_counts, render_view

_QUIET_S = 30.0


class _Output(Protocol):
    """The place for lines that do not belong to the table."""

    def result(self, line: str) -> None:
        """Print a result, with how much is done."""

    def note(self, line: str) -> None:
        """Print a line."""

    def status(self, subject: str, line: str) -> None:
        """Print what a subject does, unless the table shows that."""

    def remind(self, line: str) -> None:
        """Print a line if nothing was printed for a while, and there is no table."""


class WorkProgress:
    """The display of work under way, trial by trial and device by device."""

    def __init__(self, state: WorkState, output: _Output) -> None:
        self._state = state
        self._output = output

    def note(self, line: str) -> None:
        """Print a line about something that goes on."""
        self._output.note(line)

    def step(self, trial: str, completed: int, total: int, note: str = "") -> None:
        """Show that `completed` of the trial's `total` epochs have ended; 0 if it starts."""
        with self._state.lock:
            if self._state.training is not None:
                self._state.training.step(trial, completed, total=total, note=note)
        if completed:
            self._output.remind(f"{trial}: epoch {completed}/{total}, {note}")

    def retry(self, trial: str, line: str) -> None:
        """Print why the trial will be tried again, and show it as waiting."""
        with self._state.lock:
            if self._state.training is not None:
                self._state.training.requeue(trial)
        self._output.note(line)

    def end(self, trial: str, line: str, *, is_failed: bool = False) -> None:
        """Print the trial's last line and count it as ended."""
        with self._state.lock:
            if self._state.training is not None:
                self._state.training.end(trial, is_failed=is_failed)
        self._output.result(line)

    def skip(self, trials: int) -> None:
        """Show that so many trials will not be trained, for example as they are infeasible."""
        with self._state.lock:
            if self._state.training is not None:
                self._state.training.skip(trials)

    def set_front(self, points: Iterable[FrontPoint], headings: Sequence[str]) -> None:
        """Show the best points of a search so far; `headings` name their objectives."""
        with self._state.lock:
            self._state.front, self._state.headings = tuple(points), tuple(headings)

    def order(self, artifacts: Iterable[str], waiting: int) -> None:
        """Show that these artifacts are in the devices' queues, and `waiting` await their twins."""
        with self._state.lock:
            self._state.order(artifacts, waiting)

    def hold(self, device: str, line: str) -> None:
        """Print why a device is measured when training is over, and show that it waits."""
        with self._state.lock:
            self._state.devices[device].awaits_training = True
            self._state.devices[device].text = AWAITS_TRAINING
        self._output.note(line)

    def set_status(self, device: str, text: str, *, is_brief: bool = False) -> None:
        """Show what the device does or waits for; plain lines leave out a brief status."""
        with self._state.lock:
            state = self._state.devices[device]
            state.text = AWAITS_TRAINING if is_brief and state.awaits_training else text
        if not is_brief:
            self._output.status(device, f"{device}: {text}")

    def set_aside(self, device: str, text: str) -> None:
        """Show why the device can't be used now."""
        with self._state.lock:
            self._state.devices[device].trouble = text
        self.set_status(device, text)

    def add_cases(
        self, device: str, to_measure: Sequence[str], measured: Sequence[str] = ()
    ) -> None:
        """Show a device's plan: the artifacts of the cases to measure, and of finished ones.

        Its clock runs while there are cases to measure.
        """
        with self._state.lock:
            state = self._state.devices[device]
            state.awaits_training &= not to_measure
            state.add_cases([*to_measure, *measured], to_measure)

    def update(
        self, device: str, artifact: str, text: str, progress: float, temperature_c: float | None
    ) -> None:
        """Show the case under way; `progress` is how many cases' worth of the batch is done."""
        with self._state.lock:
            state = self._state.devices[device]
            state.update(artifact, text, progress)
            state.temperature_c = temperature_c
            worth = f"{state.completed:.1f} of {state.total} cases"
        self._output.remind(f"{device}: {text}, {worth}")

    def end_case(self, device: str, artifact: str, line: str) -> None:
        """Print a case's result and count the case as finished."""
        with self._state.lock:
            self._state.devices[device].end_case(artifact)
        self._output.result(line)

    def end_device(self, device: str) -> None:
        """Mark the device as finished."""
        with self._state.lock:
            self._state.devices[device].end()


@contextmanager
def show_work(
    console: Console,
    training: TrainingPlan | None = None,
    devices: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[WorkProgress]:
    """Show the progress of a training and of a bench on these devices in one table.

    Either may be missing. Without a terminal, plain lines are printed.
    """
    state = WorkState(training, devices, clock=clock)
    if not console.is_terminal:
        yield WorkProgress(state, _Lines(console, state, clock=clock))
        return

    def render() -> Group:
        return render_view(state.view(), console.width, height=console.height)

    with Live(get_renderable=render, console=console, refresh_per_second=4, transient=True) as live:
        live.refresh()  # before anything is printed: of two simultaneous first frames one stays
        yield WorkProgress(state, _AboveTable(console))


class _AboveTable:
    """Results and notes scroll by above the table, which shows the rest."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def result(self, line: str) -> None:
        self.note(line)

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    def status(self, subject: str, line: str) -> None:
        pass

    def remind(self, line: str) -> None:
        pass


class _Lines:
    """A line for each result and each change, and at most one every 30 s in between.

    A log therefore grows slowly, yet shows that work continues.
    """

    def __init__(self, console: Console, state: WorkState, clock: Callable[[], float]) -> None:
        self._console = console
        self._state = state
        self._clock = clock
        self._last_line = clock()
        self._status: dict[str, str] = {}
        self._reminder = ""

    def result(self, line: str) -> None:
        view = self._state.view()
        remaining = [] if view.remaining.seconds in (None, 0.0) else [str(view.remaining)]
        self.note(f"{line} [{', '.join([*describe_counts(view), *remaining])}]")

    def note(self, line: str) -> None:
        self._last_line = self._clock()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def status(self, subject: str, line: str) -> None:
        if self._status.get(subject) != line:
            self._status[subject] = line
            self.note(line)

    def remind(self, line: str) -> None:
        if self._clock() - self._last_line >= _QUIET_S and line != self._reminder:
            self._reminder = line
            self.note(line)
