"""A bench of many devices as it goes: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.core.units import show_seconds
from harness.report.terminal.tables import add, table

_LEAST_ROWS = 5


class FleetProgress(Protocol):
    """What a bench tells of each device; `part` is how many cases' worth of those under way is done."""

    def say(self, device: str, text: str) -> None: ...

    def planned(self, device: str, cases: int) -> None: ...

    def step(self, device: str, text: str, part: float, temperature_c: float | None) -> None: ...

    def end(self, device: str, line: str) -> None: ...

    def leave(self, device: str, line: str = "") -> None: ...


@dataclass
class _Row:
    """What is known of one device: `done` of `total` cases, `part` more under way, and what it is doing."""

    text: str = ""
    total: int | None = None
    done: int = 0
    part: float = 0.0
    temperature_c: float | None = None
    ended: bool = False
    started: float = field(default_factory=time.monotonic)

    def left_s(self) -> float | None:
        """From how long the cases took that have ended."""
        if self.ended or self.total is None or self.done + self.part == 0:
            return None
        return (
            (time.monotonic() - self.started)
            / (self.done + self.part)
            * (self.total - self.done - self.part)
        )


class _State:
    def __init__(self, devices: list[str]) -> None:
        self.rows = {device: _Row() for device in devices}

    def say(self, device: str, text: str) -> None:
        self.rows[device].text = text

    def planned(self, device: str, cases: int) -> None:
        row = self.rows[device]
        row.total, row.started, row.text = cases, time.monotonic(), ""

    def step(self, device: str, text: str, part: float, temperature_c: float | None) -> None:
        row = self.rows[device]
        row.text, row.part, row.temperature_c = text, part, temperature_c

    def end(self, device: str, line: str) -> None:
        row = self.rows[device]
        row.done, row.part, row.text = row.done + 1, max(0.0, row.part - 1), ""

    def leave(self, device: str, line: str = "") -> None:
        self.rows[device].ended = True
        self.rows[device].text = line or "done"

    @property
    def done(self) -> int:
        return sum(row.done for row in self.rows.values())

    @property
    def total(self) -> int:
        return sum(row.total or 0 for row in self.rows.values())

    def left_s(self) -> float | None:
        """The devices work side by side: the slowest decides."""
        return max(
            (left for row in self.rows.values() if (left := row.left_s()) is not None), default=None
        )


@contextmanager
def fleet_progress(console: Console, devices: list[str]) -> Iterator[FleetProgress]:
    if not console.is_terminal:
        yield _Lines(console, devices)
        return
    shown = _Table(console, devices)
    with Live(
        get_renderable=shown.render, console=console, refresh_per_second=4, transient=True
    ) as live:
        live.refresh()  # before anyone prints: of two first frames at once, one would stay
        yield shown


class _Table(_State):
    def __init__(self, console: Console, devices: list[str]) -> None:
        super().__init__(devices)
        self._console = console

    def end(self, device: str, line: str) -> None:
        super().end(device, line)
        self._console.print(line, markup=False, highlight=False)

    def leave(self, device: str, line: str = "") -> None:
        super().leave(device, line)
        if line:
            self._console.print(line, markup=False, highlight=False)

    def render(self) -> Group:
        """As many devices as the screen has lines for: those that are at work first."""
        shown = table("device", "°C", "done", "left", "doing", right=("°C", "done", "left"))
        room = max(_LEAST_ROWS, self._console.height - 5)
        ordered = sorted(self.rows.items(), key=lambda item: item[1].ended)
        for device, row in ordered[:room]:
            add(
                shown,
                device,
                _degrees(row.temperature_c),
                _done(row),
                _left(row.left_s()),
                row.text,
            )
        hidden = f", and {len(ordered) - room} more devices" if len(ordered) > room else ""
        return Group(
            shown, Text(f"{self.done}/{self.total} cases, {_left(self.left_s())} left{hidden}")
        )


def _degrees(temperature_c: float | None) -> str:
    return "–" if temperature_c is None else f"{temperature_c:.0f}"


def _done(row: _Row) -> str:
    return "–" if row.total is None else f"{row.done}/{row.total}"


def _left(seconds: float | None) -> str:
    return "–" if seconds is None else show_seconds(seconds)


class _Lines(_State):
    """A line an end of a case, and for what a device waits for; in between at most one every 30 s."""

    _PAUSE_S = 30.0

    def __init__(self, console: Console, devices: list[str]) -> None:
        super().__init__(devices)
        self._console = console
        self._last = time.monotonic()

    def say(self, device: str, text: str) -> None:
        super().say(device, text)
        if text != "connecting":
            self._print(f"{device}: {text}")

    def step(self, device: str, text: str, part: float, temperature_c: float | None) -> None:
        super().step(device, text, part, temperature_c)
        if time.monotonic() - self._last >= self._PAUSE_S:
            self._print(
                f"{text}, {self.rows[device].done + part:.1f} of {self.rows[device].total} cases"
            )

    def end(self, device: str, line: str) -> None:
        super().end(device, line)
        left_s = self.left_s()
        rest = f", about {show_seconds(left_s)} left" if left_s else ""
        self._print(f"{line} [cases: {self.done}/{self.total}{rest}]")

    def leave(self, device: str, line: str = "") -> None:
        super().leave(device, line)
        if line:
            self._print(line)

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
