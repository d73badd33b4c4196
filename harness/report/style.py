"""The look of every figure, on light and on dark pages.

Colour-blind people can tell its colours and markers apart.
"""

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

# Okabe and Ito, "Color Universal Design" (2008), without yellow, which is hard to see on white.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY = "#7A7A7A"  # the same contrast, 4.3 to 1, on white and on a notebook's dark #111111
_FAINT = "rgba(128, 128, 128, 0.25)"
MAX_SVG_POINTS = 2_000
"""Figures of more points are drawn by WebGL, which stays quick with 100,000.

A browser draws only a few WebGL figures on one page.
"""
_PANEL_PX, _COLUMN_PX, _LEGEND_PX, _TITLE_PX = 330, 380, 70, 30
_MAX_NAME, _MESSAGE_LINE, _LABEL_LINE = 40, 44, 20
"""Lengths in characters."""
_MIN_PADDING, PADDING_SHARE = log10(1.05), 0.08
"""Space on either side of the values: a factor of 1.05 or more, and this share of their range."""
_TICK_DISTANCE = 0.22
"""A share of the axis; of 250 px it is 55 px, in which `37.5 MB` has room."""
_PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9))


@dataclass(frozen=True)
class MarkerStyle:
    color: str
    symbol: str


PRECISIONS = {
    "binary": MarkerStyle(BLUE, "circle"),
    "float32": MarkerStyle(VERMILION, "square"),
    "int8": MarkerStyle(GREEN, "diamond"),
    "float16": MarkerStyle(PURPLE, "triangle-up"),
}
OWN_MODEL = MarkerStyle(GREY, "x")


@dataclass(frozen=True)
class Axis:
    """A column and the way in which an axis shows it.

    The values times `scale` have the unit `unit`. With `si`, a tick at 0.001 s reads `1 ms`.
    """

    column: str
    title: str
    unit: str
    scale: float = 1.0
    si: bool = False
    log: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the axis's title and type for plotly."""
        return {
            "title": {"text": f"{self.title} ({self.unit})"},
            "type": "log" if self.log else "linear",
        }

    def fit(self, values: Any) -> dict[str, Any]:
        """Return the range and the ticks of a log axis for these values; some must be above 0.

        Plotly's own ticks have no unit between the powers of ten, or there is only one tick.
        """
        powers = np.log10(values[values > 0])
        padding = max(_MIN_PADDING, PADDING_SHARE * float(np.ptp(powers)))
        low, high = float(powers.min()) - padding, float(powers.max()) + padding
        ticks = _choose_ticks(10.0**low, 10.0**high)
        return {
            "range": [low, high],
            "tickvals": ticks,
            "ticktext": [self._label_tick(tick) for tick in ticks],
        }

    def _label_tick(self, value: float) -> str:
        """Return text such as `12 ms`, `1.5 kB` or `0.3 ×`."""
        prefix, size = "", 1.0
        if self.si:
            fitting = (pair for pair in _PREFIXES if value >= 0.9999 * pair[1])
            prefix, size = next(fitting, ("", 1.0))
        return f"{value / size:.3g} {prefix}{self.unit}"

    def values(self, rows: pd.DataFrame) -> Any:
        """Return the column as a numpy array in the axis's unit."""
        return to_floats(rows, self.column) * self.scale


def _choose_ticks(low: float, high: float) -> list[float]:
    """Return the most round numbers that do not crowd a log axis from `low` to `high`."""
    distance = (high / low) ** _TICK_DISTANCE
    best: list[float] = []
    for numbers in _round_numbers(low, high):
        ticks = [number for number in numbers if low <= number <= high]
        is_spaced = all(following >= tick * distance for tick, following in pairwise(ticks))
        if is_spaced and len(ticks) > len(best):
            best = ticks
    return best


def _round_numbers(low: float, high: float) -> Iterator[list[float]]:
    """Yield series of round numbers.

    They are every power of ten, every second one and so on, and multiples of the powers. For a
    short axis, they are steps of equal size.
    """
    powers = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    for stride in range(1, len(powers) + 1):
        yield powers[::stride]
    for digits in ((1, 3), (1, 2, 5)):
        multiples: list[float] = []
        for power in powers:
            multiples += [digit * power for digit in digits]
        yield multiples
    magnitude = 10.0 ** (floor(log10(high - low)) - 1)
    for digit in (1, 2, 5, 10, 20, 50):
        step = digit * magnitude
        yield [step * count for count in range(ceil(low / step), floor(high / step) + 1)]


def to_floats(rows: pd.DataFrame, columns: str | list[str]) -> Any:
    """Return a numpy array, of two dimensions for a list of columns; missing values are NaN."""
    return rows[columns].to_numpy(dtype=float, na_value=float("nan"))


def escape_name(name: object) -> str:
    """Return a name as text for a figure, which would interpret HTML; a long one is shortened."""
    return escape(_shorten(str(name)), quote=False)


def _shorten(name: str) -> str:
    """Replace the middle of a long name by an ellipsis."""
    half = (_MAX_NAME - 1) // 2
    return name if len(name) <= _MAX_NAME else f"{name[:half]}…{name[-half:]}"


def category_axis(keys: Iterable[str], names: Iterable[str]) -> dict[str, Any]:
    """Return a vertical axis with a name for each key, from top to bottom.

    Names are so broken into lines that the plot keeps half of a phone's screen.
    Two keys stay apart even if their names are shortened to the same text.
    """
    return {
        "type": "category",
        "autorange": "reversed",
        "tickvals": list(keys),
        "ticktext": [_break_label(_shorten(name)) for name in names],
    }


def _break_label(name: str) -> str:
    return "<br>".join(escape(line, quote=False) for line in _break_name(name))


def _break_name(name: str) -> list[str]:
    """Return one or two lines, broken between words if that does not take a third line."""
    lines = wrap(name, _LABEL_LINE)
    return lines if len(lines) <= 2 else [name[:_LABEL_LINE], name[_LABEL_LINE:]]


def scatter_type(points: int) -> Any:
    """Return the class of trace for a figure of so many points."""
    return go.Scattergl if points > MAX_SVG_POINTS else go.Scatter


def make_message(text: str) -> go.Figure:
    """Return a figure with a sentence instead of data; text between backticks is bold."""
    lines = "<br>".join(wrap(escape(text, quote=False), _MESSAGE_LINE))
    figure = _apply_style(go.Figure(), 150)
    figure.add_annotation(
        text=re.sub("`(.+?)`", r"<b>\1</b>", lines),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
    )
    return figure.update_layout(xaxis_visible=False, yaxis_visible=False, margin={"t": 10, "b": 10})


def make_grid(titles: Sequence[str], columns: int = 3, row_px: int = _PANEL_PX) -> go.Figure:
    """Return a figure with an empty panel for each title, line by line."""
    across = max(1, min(columns, len(titles)))
    down = -(-len(titles) // across)
    height = 90 + row_px * down
    panels: list[dict[str, Any] | None] = [{} for _ in titles]
    panels += [None] * (across * down - len(titles))
    figure = make_subplots(
        down,
        across,
        specs=[panels[row * across : (row + 1) * across] for row in range(down)],
        subplot_titles=[escape_name(title) for title in titles],
        horizontal_spacing=0.24 / across,
        vertical_spacing=min(0.9 / down, 115 / height),
    )
    # One panel fits any screen; several would cut each other's labels.
    width = _COLUMN_PX * across if across > 1 else None
    return _apply_style(figure, height, width=width)


def locate_panel(figure: go.Figure, index: int) -> dict[str, int]:
    """Return the row and the column, both from 1, of the panel with this number."""
    across = len(figure._grid_ref[0])
    return {"row": index // across + 1, "col": index % across + 1}


def share_y_range(figure: go.Figure) -> go.Figure:
    """Give all panels the same vertical range, so that devices can be compared at a glance."""
    return figure.update_yaxes(matches="y").update_layout(yaxis_matches=None)


def merge_legend(figure: go.Figure) -> go.Figure:
    """Show each name once in the legend, where a click acts on all traces of that name."""
    names: set[str] = set()
    for trace in figure.data:
        trace.update(
            legendgroup=trace.name, showlegend=bool(trace.name) and trace.name not in names
        )
        names.add(trace.name)
    return figure if any(names) else figure.update_layout(margin_t=_TITLE_PX)


def add_legend(figure: go.Figure, styles: Mapping[str, MarkerStyle]) -> go.Figure:
    """Show each name once in the legend, with its style even if a trace has several markers.

    The first marker of such a trace, which plotly would show, may not represent the others.
    """
    names = [trace.name for trace in merge_legend(figure).data]
    figure.update_traces(showlegend=False, selector=lambda trace: trace.name in styles)
    for name, style in styles.items():
        if name not in names:
            continue
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                marker={"color": style.color, "symbol": style.symbol, "size": 9},
                name=name,
                legendgroup=name,
            )
        )
    return figure


def _apply_style(figure: go.Figure, height: int, width: int | None = None) -> go.Figure:
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
