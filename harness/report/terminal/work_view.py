"""The view of work under way: trials, artifacts, devices, and a search's best points.

A view is data; `render_view` makes the table of it. `submit`, `bench` and `status --follow` share
both.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.core.units import count_noun, format_seconds
from harness.report.terminal.estimate import UNKNOWN, Remaining

MAX_TRIALS, MAX_DEVICES, MAX_POINTS = 8, 20, 5
_MIN_ROWS = 3
# The largest shares of the screen that the names of trials and of devices get.
_NAME_WIDTH, _ID_WIDTH = 0.6, 0.3
_MIN_WIDTH = 8


@dataclass(frozen=True)
class TrialView:
    """A trial in training; its `epoch` is the last one that has ended."""

    name: str
    epoch: int
    epochs: int
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True)
class SweepView:
    """The progress of a sweep's training: `running` trials are neither done nor failed."""

    name: str
    total: int
    done: int = 0
    failed: int = 0
    running: tuple[TrialView, ...] = ()
    remaining_s: float | None = None

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        running = f", {len(self.running)} in training" if self.running else ""
        trials = count_noun(self.total, "trial")
        return f"{self.name}: {self.done} of {trials} done{failed}{running}"


@dataclass(frozen=True)
class ArtifactsView:
    """The number of artifacts that wait for their twins, are in a queue, and are being measured."""

    waiting: int = 0
    queued: int = 0
    measuring: int = 0

    def __str__(self) -> str:
        parts = (
            f"{self.waiting} waiting for twins" if self.waiting else "",
            f"{self.queued} queued",
            f"{self.measuring} being measured",
        )
        return f"artifacts: {', '.join(filter(None, parts))}"


class DeviceState(IntEnum):
    """The state of a device; the first ones are shown where not all have room."""

    TROUBLED = 0
    MEASURING = 1
    WAITING = 2
    DONE = 3


_STATE_WORDS = {
    DeviceState.TROUBLED: "in trouble",
    DeviceState.MEASURING: "measuring",
    DeviceState.WAITING: "waiting",
    DeviceState.DONE: "done",
}


@dataclass(frozen=True)
class DeviceView:
    """A device of a bench; `total` is None until its cases are known."""

    id: str
    state: DeviceState
    doing: str = ""
    finished: int = 0
    total: int | None = None
    remaining_s: float | None = None
    temperature_c: float | None = None

    @property
    def cases_left(self) -> int:
        return (self.total or 0) - self.finished


@dataclass(frozen=True)
class FrontPoint:
    """A point of a search that no other one beats: its settings, and its objectives' values."""

    point: str
    objectives: tuple[str, ...]


@dataclass(frozen=True)
class WorkView:
    """All that is shown of work under way. `headings` are the objectives of the search."""

    sweeps: tuple[SweepView, ...] = ()
    artifacts: ArtifactsView | None = None
    devices: tuple[DeviceView, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    headings: tuple[str, ...] = ()
    remaining: Remaining = UNKNOWN


@dataclass(frozen=True)
class _Room:
    trials: int
    devices: int
    points: int


def render_view(view: WorkView, width: int, height: int) -> Group:
    """Return the view for a screen of so many columns and lines, which it never exceeds.

    If the screen has no room for all devices, it shows the ones in trouble and the busiest.
    """
    running: list[TrialView] = []
    for sweep in view.sweeps:
        running += sweep.running
    room = _allot(view, len(running), height=height)
    parts: list[RenderableType] = [_make_line(_describe_sweep(sweep)) for sweep in view.sweeps]
    if running and room.trials:
        parts += _list_trials(running, room.trials, width=width)
    if view.artifacts is not None:
        parts.append(_make_line(str(view.artifacts)))
    if view.devices and room.devices:
        parts += _list_devices(view.devices, room.devices, width=width)
    if view.front and room.points:
        parts += _list_points(view, room.points, width=width)
    parts.append(_make_line(_summarise(view)))
    return Group(*parts)


def _allot(view: WorkView, running: int, height: int) -> _Room:
    """Share the lines of the screen out: a heading and the line for hidden rows are spared."""
    lines = height - 2 - len(view.sweeps) - (view.artifacts is not None)
    lines -= 2 * (bool(running) + bool(view.devices) + bool(view.front))
    points = min(len(view.front), MAX_POINTS, max(_MIN_ROWS, lines // 4))
    devices = min(len(view.devices), MAX_DEVICES)
    trials = min(running, MAX_TRIALS, max(_MIN_ROWS, lines // 3, lines - points - devices))
    return _Room(trials, max(1, min(devices, lines - points - trials)), points=points)


def _describe_sweep(sweep: SweepView) -> str:
    if sweep.remaining_s is None or not sweep.total - sweep.done - sweep.failed:
        return str(sweep)
    return f"{sweep}, about {format_seconds(sweep.remaining_s)} left"


def _list_trials(running: Sequence[TrialView], room: int, width: int) -> list[RenderableType]:
    rows = [
        (
            trial.name,
            f"{trial.epoch}/{trial.epochs}",
            _format_time(trial.seconds),
            trial.note,
        )
        for trial in running[:room]
    ]
    columns = {"trial": _NAME_WIDTH, "epoch": None, "time": None, "": 1.0}
    return [_make_table(columns, rows, width=width), *_count_more(len(running) - room, "trial")]


def _list_devices(devices: Sequence[DeviceView], room: int, width: int) -> list[RenderableType]:
    chosen = _choose_devices(devices, room)
    rows = [
        (
            device.id,
            "–" if device.temperature_c is None else f"{device.temperature_c:.0f}",
            "–" if device.total is None else f"{device.finished}/{device.total}",
            _format_time(device.remaining_s),
            device.doing,
        )
        for device in devices
        if device.id in chosen
    ]
    columns = {"device": _ID_WIDTH, "°C": None, "done": None, "left": None, "doing": 1.0}
    hidden = [device for device in devices if device.id not in chosen]
    return [
        _make_table(columns, rows, width=width),
        *([_make_line(_count_hidden(hidden))] if hidden else []),
    ]


def _choose_devices(devices: Sequence[DeviceView], room: int) -> frozenset[str]:
    """Return the ids of the devices that are shown: at most half of them are in trouble."""
    ordered = sorted(devices, key=lambda device: (device.state, -device.cases_left))
    troubled = [device for device in ordered if device.state is DeviceState.TROUBLED]
    others = ordered[len(troubled) :]
    first = troubled[: max(room // 2, room - len(others))]
    return frozenset(device.id for device in (*first, *others[: room - len(first)]))


def _count_hidden(devices: Sequence[DeviceView]) -> str:
    counts = Counter(device.state for device in devices)
    states = ", ".join(f"{counts[state]} {_STATE_WORDS[state]}" for state in sorted(counts))
    return f"… and {len(devices)} more: {states}"


def _list_points(view: WorkView, room: int, width: int) -> list[RenderableType]:
    rows = [(point.point, *point.objectives) for point in view.front[:room]]
    columns: dict[str, float | None] = {"best so far": 1.0}
    columns |= dict.fromkeys(view.headings)
    return [_make_table(columns, rows, width=width), *_count_more(len(view.front) - room, "point")]


def _count_more(hidden: int, noun: str) -> list[RenderableType]:
    return [_make_line(f"… and {count_noun(hidden, f'more {noun}')}")] if hidden > 0 else []


def _summarise(view: WorkView) -> str:
    counts = describe_counts(view)
    return f"{', '.join(counts)}: {view.remaining}" if counts else str(view.remaining)


def describe_counts(view: WorkView) -> list[str]:
    """Return such as `trials: 3/6` and `cases: 2/10`, of what there is."""
    ended = sum(sweep.done + sweep.failed for sweep in view.sweeps)
    trials = sum(sweep.total for sweep in view.sweeps)
    finished = sum(device.finished for device in view.devices)
    cases = sum(device.total or 0 for device in view.devices)
    return [
        *([f"trials: {ended}/{trials}"] if view.sweeps else []),
        *([f"cases: {finished}/{cases}"] if cases else []),
    ]


def _make_table(
    columns: Mapping[str, float | None], rows: Sequence[Sequence[str]], width: int
) -> Table:
    """Return a table whose rows take one line each.

    `columns` maps each heading to the largest share of the screen that its texts get. Columns
    without one have numbers, which are never cut off, and one of 1 gets what the others leave.
    """
    table = Table(header_style="bold", box=None, pad_edge=False)
    cells = [list(map(_join_lines, row)) for row in rows]
    columns_of_text = zip(columns, *cells, strict=True)
    longest = [max(map(cell_len, texts)) for texts in columns_of_text]
    shares = list(columns.values())
    widths = [
        length if share in (None, 1.0) else min(length, int(width * share))
        for length, share in zip(longest, shares, strict=True)
    ]
    if 1.0 in shares:
        number = shares.index(1.0)
        other_widths = sum(widths) - widths[number] + 2 * (len(widths) - 1)
        widths[number] = max(_MIN_WIDTH, min(widths[number], width - other_widths))
    for (heading, share), column_width in zip(columns.items(), widths, strict=True):
        table.add_column(
            heading,
            justify="right" if share is None else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=column_width,
        )
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def _make_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _format_time(seconds: float | None) -> str:
    return "–" if seconds is None else format_seconds(seconds)
