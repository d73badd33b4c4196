"""Progress of long work: bars with a time estimate on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ItemProgress(Protocol):
    """The display of work that consists of items, each of which has steps."""

    def step(self, item: str, completed: int, total: int, note: str = "") -> None:
        """Show that `completed` of the item's `total` steps are done."""

    def note(self, line: str) -> None:
        """Print a line about an item that goes on."""

    def end(self, item: str, line: str) -> None:
        """Print the item's last line and count the item as finished."""


@contextmanager
def show_progress(console: Console, title: str, items: int) -> Iterator[ItemProgress]:
    """Show the progress of so many items while the context is open."""
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        ) as bars:
            yield _Bars(bars, bars.add_task(title, total=items, note=""))
    else:
        yield _ItemLines(console, title, items=items)


class _Bars:
    def __init__(self, bars: Progress, overall: TaskID) -> None:
        self._bars = bars
        self._overall = overall
        self._items: dict[str, TaskID] = {}

    def step(self, item: str, completed: int, total: int, note: str = "") -> None:
        if item not in self._items:
            self._items[item] = self._bars.add_task(f"  {item}", total=total, note="")
        self._bars.update(self._items[item], completed=completed, note=note)

    def note(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False)

    def end(self, item: str, line: str) -> None:
        if item in self._items:
            self._bars.remove_task(self._items.pop(item))
        self.note(line)
        self._bars.advance(self._overall)


class _ItemLines:
    """A line for each finished item, and at most one every 30 s in between.

    A log therefore grows slowly, yet shows that work continues.
    """

    _PAUSE_S = 30.0

    def __init__(self, console: Console, title: str, items: int) -> None:
        self._console = console
        self._title = title
        self._items = items
        self._ended = 0
        self._started = self._last_line = time.monotonic()

    def note(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def step(self, item: str, completed: int, total: int, note: str = "") -> None:
        if time.monotonic() - self._last_line >= self._PAUSE_S:
            self.note(f"{item}: {completed}/{total} {note}")

    def end(self, item: str, line: str) -> None:
        self._ended += 1
        remaining_items = self._items - self._ended
        remaining_s = (time.monotonic() - self._started) / self._ended * remaining_items
        estimate = f", about {remaining_s:.0f} s left" if remaining_items > 0 else ""
        self.note(f"{line} [{self._title}: {self._ended}/{self._items}{estimate}]")
