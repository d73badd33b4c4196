"""Long work as it goes: bars with an estimate on a terminal, plain lines elsewhere."""

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


class Work(Protocol):
    """One piece of long work, made of items that each have steps."""

    def step(self, item: str, done: int, total: int, note: str = "") -> None: ...

    def end(self, item: str, line: str) -> None: ...


@contextmanager
def progress(console: Console, title: str, items: int) -> Iterator[Work]:
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
        yield _Lines(console, title, items=items)


class _Bars:
    def __init__(self, bars: Progress, whole: TaskID) -> None:
        self._bars = bars
        self._whole = whole
        self._items: dict[str, TaskID] = {}

    def step(self, item: str, done: int, total: int, note: str = "") -> None:
        if item not in self._items:
            self._items[item] = self._bars.add_task(f"  {item}", total=total, note="")
        self._bars.update(self._items[item], completed=done, note=note)

    def end(self, item: str, line: str) -> None:
        if item in self._items:
            self._bars.remove_task(self._items.pop(item))
        self._bars.console.print(line, markup=False, highlight=False)
        self._bars.advance(self._whole)


class _Lines:
    """A line an item's end, and in between at most one every 30 s.

    So a log grows slowly and shows that work goes on.
    """

    _PAUSE_S = 30.0

    def __init__(self, console: Console, title: str, items: int) -> None:
        self._console = console
        self._title = title
        self._items = items
        self._ended = 0
        self._started = self._last = time.monotonic()

    def step(self, item: str, done: int, total: int, note: str = "") -> None:
        if time.monotonic() - self._last >= self._PAUSE_S:
            self._say(f"{item}: {done}/{total} {note}")

    def end(self, item: str, line: str) -> None:
        self._ended += 1
        left_s = (time.monotonic() - self._started) / self._ended * (self._items - self._ended)
        rest = f", about {left_s:.0f} s left" if self._ended < self._items else ""
        self._say(f"{line} [{self._title}: {self._ended}/{self._items}{rest}]")

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
