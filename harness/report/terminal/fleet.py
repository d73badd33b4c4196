"""Progress of a bench on many devices: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.core.units import format_seconds
from harness.report.terminal.tables import add_row, make_table

_MIN_ROWS = 5


class FleetProgress(Protocol):
    """The display of a bench, device by device."""

    def set_status(self, device: str, text: str, *, is_brief: bool = False) -> None:
        """Show what the device does or waits for; plain lines leave out a brief status."""

    def add_cases(self, device: str, cases: int) -> None:
        """Add to the cases to measure on the device; its clock runs while there are any."""

    def update(self, device: str, text: str, progress: float, temperature_c: float | None) -> None:
        """Show the cases under way; `progress` is how many cases' worth of them is done."""

    def end_case(self, device: str, line: str) -> None:
        """Print a case's result and count the case as finished."""

    def end_device(self, device: str, line: str = "") -> None:
        """Mark the device as finished."""


@dataclass
class _DeviceState:
    """Progress of one device: `finished` of `total` cases, and the worth of those under way.

    The clock stands while nothing is to measure: `started` is None then, and `earlier_s` has the
    time before.
    """

    text: str = ""
    total: int | None = None
    finished: int = 0
    under_way: float = 0.0
    temperature_c: float | None = None
    ended: bool = False
    earlier_s: float = 0.0
    started: float | None = None

    def add_cases(self, cases: int) -> None:
        self.total = (self.total or 0) + cases
        self.text = ""
        if self.started is None and cases:
            self.started = time.monotonic()

    def end_case(self) -> None:
        self.finished += 1
        self.under_way = max(0.0, self.under_way - 1)
        self.text = ""
        if self.total is not None and self.finished >= self.total:
            self.earlier_s, self.started = self._worked_s(), None

    def _worked_s(self) -> float:
        """Return for how long there was something to measure."""
        return self.earlier_s + (0.0 if self.started is None else time.monotonic() - self.started)

    def remaining_s(self) -> float | None:
        """Return the estimated time left, judging by how long the cases took so far."""
        completed = self.finished + self.under_way
        if self.ended or self.total is None or completed == 0:
            return None
        return self._worked_s() / completed * max(0.0, self.total - completed)


class _FleetState:
    def __init__(self, devices: list[str]) -> None:
        self.states = {device: _DeviceState() for device in devices}

    def set_status(self, device: str, text: str, *, is_brief: bool = False) -> None:
        self.states[device].text = text

    def add_cases(self, device: str, cases: int) -> None:
        self.states[device].add_cases(cases)

    def update(self, device: str, text: str, progress: float, temperature_c: float | None) -> None:
        state = self.states[device]
        state.text, state.under_way, state.temperature_c = text, progress, temperature_c

    def end_case(self, device: str, line: str) -> None:
        self.states[device].end_case()

    def end_device(self, device: str, line: str = "") -> None:
        self.states[device].ended = True
        self.states[device].text = line or "done"

    @property
    def finished(self) -> int:
        return sum(state.finished for state in self.states.values())

    @property
    def total(self) -> int:
        return sum(state.total or 0 for state in self.states.values())

    def remaining_s(self) -> float | None:
        """Return the estimate of the slowest device, as devices work side by side."""
        estimates = [state.remaining_s() for state in self.states.values()]
        return max((seconds for seconds in estimates if seconds is not None), default=None)


@contextmanager
def show_fleet_progress(console: Console, devices: list[str]) -> Iterator[FleetProgress]:
    """Show the progress of a bench on these devices while the context is open."""
    if not console.is_terminal:
        yield _FleetLines(console, devices)
        return
    live_table = _LiveTable(console, devices)
    with Live(
        get_renderable=live_table.render, console=console, refresh_per_second=4, transient=True
    ) as live:
        live.refresh()  # before anything is printed: of two simultaneous first frames one stays
        yield live_table


class _LiveTable(_FleetState):
    def __init__(self, console: Console, devices: list[str]) -> None:
        super().__init__(devices)
        self._console = console

    def end_case(self, device: str, line: str) -> None:
        super().end_case(device, line)
        self._console.print(line, markup=False, highlight=False)

    def end_device(self, device: str, line: str = "") -> None:
        super().end_device(device, line)
        if line:
            self._console.print(line, markup=False, highlight=False)

    def render(self) -> Group:
        """Return the table with as many devices as the screen has room for, busy ones first."""
        table = make_table("device", "°C", "done", "left", "doing", right=("°C", "done", "left"))
        room = max(_MIN_ROWS, self._console.height - 5)
        ordered = sorted(self.states.items(), key=lambda item: item[1].ended)
        for device, state in ordered[:room]:
            cells = (
                _format_degrees(state.temperature_c),
                _format_count(state),
                _format_remaining(state.remaining_s()),
                state.text,
            )
            add_row(table, device, *cells)
        hidden = f", and {len(ordered) - room} more devices" if len(ordered) > room else ""
        remaining = _format_remaining(self.remaining_s())
        summary = f"{self.finished}/{self.total} cases, {remaining} left{hidden}"
        return Group(table, Text(summary))


def _format_degrees(temperature_c: float | None) -> str:
    return "–" if temperature_c is None else f"{temperature_c:.0f}"


def _format_count(state: _DeviceState) -> str:
    return "–" if state.total is None else f"{state.finished}/{state.total}"


def _format_remaining(seconds: float | None) -> str:
    return "–" if seconds is None else format_seconds(seconds)


class _FleetLines(_FleetState):
    """A line for each finished case and each wait, and at most one every 30 s in between."""

    _PAUSE_S = 30.0

    def __init__(self, console: Console, devices: list[str]) -> None:
        super().__init__(devices)
        self._console = console
        self._last_line = time.monotonic()

    def set_status(self, device: str, text: str, *, is_brief: bool = False) -> None:
        super().set_status(device, text, is_brief=is_brief)
        if not is_brief:
            self._print(f"{device}: {text}")

    def update(self, device: str, text: str, progress: float, temperature_c: float | None) -> None:
        super().update(device, text, progress=progress, temperature_c=temperature_c)
        if time.monotonic() - self._last_line >= self._PAUSE_S:
            state = self.states[device]
            self._print(f"{text}, {state.finished + progress:.1f} of {state.total} cases")

    def end_case(self, device: str, line: str) -> None:
        super().end_case(device, line)
        remaining_s = self.remaining_s()
        estimate = f", about {format_seconds(remaining_s)} left" if remaining_s else ""
        self._print(f"{line} [cases: {self.finished}/{self.total}{estimate}]")

    def end_device(self, device: str, line: str = "") -> None:
        super().end_device(device, line)
        if line:
            self._print(line)

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
