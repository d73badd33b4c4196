"""How every figure looks: colours and markers that colour-blind people tell apart, on light pages and on dark ones."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito, "Color Universal Design" (2008), without yellow, which a white page swallows.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY = "#7A7A7A"  # of equal contrast, 4.3 to 1, on white and on a notebook's dark #111111
_FAINT = "rgba(128, 128, 128, 0.25)"
MOST_SVG_POINTS = 2_000
"""More points than these are drawn by WebGL, which stays quick with 100,000; but a page can have few such figures."""
_PANEL_PX, _COLUMN_PX, _LEGEND_PX, _TITLE_PX = 330, 380, 70, 30
_LONGEST_NAME, _LINE, _LABEL = 40, 44, 20
_LEAST_ROOM, ROOM = log10(1.05), 0.08
"""Left free on either side of the values: a factor of 1.05 or more, and this share of their range for the markers."""
_APART = 0.22
"""Of an axis of 250 px that is 55 px, in which `37.5 MB` has room."""
_PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9))


@dataclass(frozen=True)
class Look:
    color: str
    symbol: str


PRECISIONS = {
    "binary": Look(BLUE, "circle"),
    "float32": Look(VERMILION, "square"),
    "int8": Look(GREEN, "diamond"),
    "float16": Look(PURPLE, "triangle-up"),
}
OWN_MODEL = Look(GREY, "x")


@dataclass(frozen=True)
class Axis:
    """A column and how it is shown: its values times `scale` have the unit `unit`; `si`: ticks say 1 ms for 0.001 s."""

    column: str
    title: str
    unit: str
    scale: float = 1.0
    si: bool = False
    log: bool = False

    def settings(self) -> dict[str, Any]:
        return {
            "title": {"text": f"{self.title} ({self.unit})"},
            "type": "log" if self.log else "linear",
        }

    def around(self, values: Any) -> dict[str, Any]:
        """Range and ticks of a log axis with these values, of which one or more are above 0.

        Plotly's own ticks have no unit between the powers of ten, or are one alone.
        """
        powers = np.log10(values[values > 0])
        room = max(_LEAST_ROOM, ROOM * float(np.ptp(powers)))
        low, high = float(powers.min()) - room, float(powers.max()) + room
        marks = _marks(10.0**low, 10.0**high)
        return {
            "range": [low, high],
            "tickvals": marks,
            "ticktext": [self._mark(mark) for mark in marks],
        }

    def _mark(self, value: float) -> str:
        """12 ms, 1.5 kB, 0.3 ×."""
        prefix, step = next(
            ((name, size) for name, size in _PREFIXES if self.si and value >= 0.9999 * size),
            ("", 1.0),
        )
        return f"{value / step:.3g} {prefix}{self.unit}"

    def values(self, rows: pd.DataFrame) -> Any:
        return floats(rows, self.column) * self.scale


def _marks(low: float, high: float) -> list[float]:
    """Of the rows of round numbers that do not crowd a log axis from `low` to `high`, the one with the most."""
    apart = (high / low) ** _APART
    rows = ([mark for mark in row if low <= mark <= high] for row in _round_numbers(low, high))
    return max(
        (row for row in rows if all(next_ >= mark * apart for mark, next_ in pairwise(row))),
        key=len,
    )


def _round_numbers(low: float, high: float) -> Iterator[list[float]]:
    """Every power of ten, every second one, …; their multiples; and steps of one size, for a short axis."""
    powers = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    yield from (powers[::every] for every in range(1, len(powers) + 1))
    yield from (
        [digit * power for power in powers for digit in digits] for digits in ((1, 3), (1, 2, 5))
    )
    for step in (digit * 10.0 ** (floor(log10(high - low)) - 1) for digit in (1, 2, 5, 10, 20, 50)):
        yield [step * count for count in range(ceil(low / step), floor(high / step) + 1)]


def floats(rows: pd.DataFrame, columns: str | list[str]) -> Any:
    """As a numpy array, of two dimensions for a list; what is missing is NaN."""
    return rows[columns].to_numpy(dtype=float, na_value=float("nan"))


def safe(text: object) -> str:
    """A name as a figure's text, which otherwise takes some HTML for its own; a very long one loses its middle."""
    return escape(_shortened(str(text)), quote=False)


def _shortened(name: str) -> str:
    half = (_LONGEST_NAME - 1) // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def names(keys: Iterable[str], texts: Iterable[str]) -> dict[str, Any]:
    """A vertical axis with a text for each key, read downwards, whose lines leave half of a phone's screen to the plot.

    Two keys stay apart even where their texts are shortened to the same.
    """
    labels = [
        "<br>".join(escape(line, quote=False) for line in _two_lines(_shortened(text)))
        for text in texts
    ]
    return {"type": "category", "autorange": "reversed", "tickvals": list(keys), "ticktext": labels}


def _two_lines(name: str) -> list[str]:
    """Between words where these fill no third line."""
    lines = wrap(name, _LABEL)
    return lines if len(lines) <= 2 else [name[:_LABEL], name[_LABEL:]]


def scatter(points: int) -> Any:
    """The class of trace for a figure of so many points."""
    return go.Scattergl if points > MOST_SVG_POINTS else go.Scatter


def sentence(text: str) -> go.Figure:
    """What stands where there is nothing to draw: why, and what to run, which is bold."""
    lines = re.sub("`(.+?)`", r"<b>\1</b>", "<br>".join(wrap(escape(text, quote=False), _LINE)))
    figure = _plain(go.Figure(), 150)
    figure.add_annotation(text=lines, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure.update_layout(xaxis_visible=False, yaxis_visible=False, margin={"t": 10, "b": 10})


def grid(titles: Sequence[str], columns: int = 3, row_px: int = _PANEL_PX) -> go.Figure:
    """A panel for each title, read line by line."""
    across = max(1, min(columns, len(titles)))
    down = -(-len(titles) // across)
    height = 90 + row_px * down
    figure = make_subplots(
        down,
        across,
        specs=[
            [{} if row * across + column < len(titles) else None for column in range(across)]
            for row in range(down)
        ],
        subplot_titles=[safe(title) for title in titles],
        horizontal_spacing=0.24 / across,
        vertical_spacing=min(0.9 / down, 115 / height),
    )
    width = (
        _COLUMN_PX * across if across > 1 else None
    )  # one panel fits any screen; several would cut each other's labels
    return _plain(figure, height, width=width)


def place(figure: go.Figure, index: int) -> dict[str, int]:
    """Where the panel of this number is: row and column, from 1."""
    across = len(figure._grid_ref[0])
    return {"row": index // across + 1, "col": index % across + 1}


def alike(figure: go.Figure) -> go.Figure:
    """Every panel with one and the same vertical range, so that devices can be compared at a glance."""
    return figure.update_yaxes(matches="y").update_layout(yaxis_matches=None)


def once(figure: go.Figure) -> go.Figure:
    """Of the traces with one name, the first alone stands in the legend; a click there is for all of them."""
    seen: set[str] = set()
    for trace in figure.data:
        trace.update(legendgroup=trace.name, showlegend=bool(trace.name) and trace.name not in seen)
        seen.add(trace.name)
    return figure if any(seen) else figure.update_layout(margin_t=_TITLE_PX)


def legend(figure: go.Figure, looks: Mapping[str, Look]) -> go.Figure:
    """The same where markers of one trace differ, and its first one may not stand for all."""
    names = [trace.name for trace in once(figure).data]
    figure.update_traces(showlegend=False, selector=lambda trace: trace.name in looks)
    for name in (name for name in looks if name in names):
        marker = {"color": looks[name].color, "symbol": looks[name].symbol, "size": 9}
        figure.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", marker=marker, name=name, legendgroup=name
            )
        )
    return figure


def _plain(figure: go.Figure, height: int, width: int | None = None) -> go.Figure:
    axis = {"gridcolor": _FAINT, "zerolinecolor": _FAINT, "linecolor": _FAINT, "automargin": True}
    figure.update_xaxes(axis).update_yaxes(axis)
    figure.update_annotations(font_size=13)
    return figure.update_layout(
        template="none",
        height=height,
        width=width,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 12, "family": "system-ui, sans-serif"},
        margin={"l": 10, "r": 10, "t": _LEGEND_PX, "b": 10},
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
        },
        hoverlabel={"align": "left"},
    )
