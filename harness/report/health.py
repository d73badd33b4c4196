"""Figures of the fleet, made from data frames.

They show what has been measured, the state of the devices, and how an artifact spends its time.
Each function returns a figure with a sentence if there is nothing to draw.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from harness.bench.quality import CANARY_CHANGE
from harness.report.figures import name_variants
from harness.report.style import (
    BLUE,
    GREY,
    ORANGE,
    PADDING_SHARE,
    SKY,
    VERMILION,
    MarkerStyle,
    add_legend,
    category_axis,
    escape_name,
    locate_panel,
    make_grid,
    make_message,
    merge_legend,
    scatter_type,
    to_floats,
)

_ROW_PX, _FRAME_PX = 36, 50  # a row has room for a name of two lines
_DAY_PADDING, _TIME_PADDING = pd.Timedelta(hours=36), pd.Timedelta(minutes=30)
# Colours and patterns in stacking order; the patterns tell the bars apart without colour.
STATES = {
    "measured": (BLUE, ""),
    "stale": (SKY, "x"),
    "queued": (GREY, "."),
    "missing": (ORANGE, "/"),
    "failed": (VERMILION, "\\"),
}
_ROLES = {
    "binary convolution": (BLUE, ""),
    "quantise": (SKY, "/"),
    "float layer": (VERMILION, "\\"),
    "other": (GREY, "."),
}
_MOMENTS = {
    "before a batch": MarkerStyle(BLUE, "circle"),
    "after a batch": MarkerStyle(VERMILION, "square"),
}
_NO_RESULTS = (
    "Nothing has been measured yet. "
    "`harness bench --sweep NAME --fleet` measures a sweep on every device of devices.yaml."
)
_NO_CANARIES = (
    "No canary has run yet. `harness bench` measures one before and after each batch, "
    "unless its protocol has `canary=off`."
)
_NO_TEMPERATURES = (
    "These devices report no temperature. `harness devices facts ID` shows their sensors."
)
_NO_INTERVALS = (
    "No latency has an interval yet, as an interval needs six processes or more. "
    "`harness bench --protocol standard` runs ten."
)
_NO_PROFILES = "No operator has been timed yet. `harness bench --sweep NAME --profile` times them."


def coverage(troubles: pd.DataFrame, measured: pd.DataFrame) -> go.Figure:
    """Plot how many artifacts have a good result on each device, and why the others have none.

    Args:
        troubles: Rows of the query `coverage`.
        measured: Rows with the columns `device` and `artifact`, such as `results`.

    Returns:
        The figure: a bar for each device with its artifacts (number), by state.
    """
    key = ["device", "artifact"]
    merged = measured[key].drop_duplicates().merge(troubles[key], how="left", indicator="origin")
    good = merged[merged["origin"] == "left_only"].assign(state="measured")
    others = troubles.assign(state=troubles["state"].str.split(":").str[0])
    states = pd.concat([good, others])
    if states.empty:
        return make_message(_NO_RESULTS)
    table = states.groupby(["device", "state"]).size().unstack(fill_value=0)
    figure = _make_device_rows(table.index).update_layout(barmode="stack")
    ordered = table[[state for state in STATES if state in table]]
    figure.add_traces(_make_bars(ordered, STATES, unit=""))
    return merge_legend(figure.update_xaxes(title_text="artifacts (number)"))


def freshness(rows: pd.DataFrame) -> go.Figure:
    """Plot on which days each device's results were measured; more results are a wider marker.

    Args:
        rows: Rows of `results`.

    Returns:
        The figure: a row of markers for each device, by day (UTC).
    """
    if rows.empty:
        return make_message(_NO_RESULTS)
    days = rows["measured_at"].dt.floor("D").rename("day")
    counts = rows.groupby([rows["device"], days]).size().rename("results").reset_index()
    figure = _make_device_rows(counts["device"].unique())
    figure.add_trace(
        go.Scatter(
            x=counts["day"],
            y=counts["device"],
            mode="markers",
            marker={
                "color": BLUE,
                "size": 8 + 22 * np.sqrt(counts["results"] / counts["results"].max()),
                "opacity": 0.75,
            },
            customdata=counts["results"],
            hovertemplate="%{y}, %{x|%Y-%m-%d}: %{customdata} results<extra></extra>",
        )
    )
    axis = _fit_times(counts["day"], _DAY_PADDING)
    return merge_legend(figure.update_xaxes(axis, title_text="day measured (UTC)"))


def _fit_times(times: pd.Series, min_padding: pd.Timedelta) -> dict[str, Any]:
    """Return the range of a time axis, with some space on either side.

    Around a single moment, plotly's own range is a few microseconds.
    """
    first, last = times.min(), times.max()
    padding = max(min_padding, PADDING_SHARE * (last - first))
    return {"range": [first - padding, last + padding], "nticks": 4}


def canary_trend(canaries: pd.DataFrame) -> go.Figure:
    """Plot the canary's latency over time, with a panel for each device.

    The canary is a small model that is measured before and after each batch.
    The grey band, ± 5 %, is what may be noise. A hollow marker stands for a disturbed measurement.

    Args:
        canaries: Rows of the query `canaries`.

    Returns:
        The figure: latency relative to the device's own median (%), by time (UTC).
    """
    drawn = canaries[canaries["latency_us"].notna()]
    if drawn.empty:
        return make_message(_NO_CANARIES)
    axis = _fit_times(drawn["measured_at"], _TIME_PADDING)
    figure = _make_canary_panels(drawn, "measured_at")
    return figure.update_xaxes(axis, title_text="measured at (UTC)")


def temperature_against_latency(canaries: pd.DataFrame) -> go.Figure:
    """Plot the canary's latency by temperature, with a panel for each device.

    A device that becomes slower as it warms up is being throttled.

    Args:
        canaries: Rows of the query `canaries`.

    Returns:
        The figure: latency relative to the device's own median (%), by temperature (°C).
    """
    timed = canaries[canaries["latency_us"].notna()]
    if timed.empty:
        return make_message(_NO_CANARIES)
    drawn = timed[timed["temperature_c"].notna()]
    if drawn.empty:
        return make_message(_NO_TEMPERATURES)
    figure = _make_canary_panels(drawn, "temperature_c")
    return figure.update_xaxes(title_text="temperature (°C)")


def _make_canary_panels(canaries: pd.DataFrame, x_column: str) -> go.Figure:
    panels = list(canaries.groupby("device", sort=True))
    figure = make_grid([device for device, _ in panels])
    for index, (_, panel) in enumerate(panels):
        for moment in _MOMENTS:
            trace = _make_canary_trace(panel, moment, x_column=x_column, total_points=len(canaries))
            figure.add_trace(trace, **locate_panel(figure, index))
    band = 100 * CANARY_CHANGE
    figure.add_hrect(y0=-band, y1=band, fillcolor=GREY, opacity=0.15, line_width=0)
    figure.update_yaxes(title_text="canary against its median (%)")
    return add_legend(figure, _MOMENTS)


def _make_canary_trace(panel: pd.DataFrame, moment: str, x_column: str, total_points: int) -> Any:
    style = _MOMENTS[moment]
    median = float(np.median(to_floats(panel, "latency_us")))
    rows = panel[panel["moment"] == moment.partition(" ")[0]].sort_values(x_column)
    values = zip(rows["latency_us"], rows["temperature_c"].round(1), rows["disturbed"], strict=True)
    return scatter_type(total_points)(
        x=rows[x_column],
        y=100 * (to_floats(rows, "latency_us") / median - 1),
        mode="markers",
        name=moment,
        marker={
            "color": style.color,
            "size": 8,
            "symbol": [
                f"{style.symbol}-open" if disturbed else style.symbol
                for disturbed in rows["disturbed"]
            ],
        },
        text=[_describe_canary(*columns) for columns in values],
        hovertemplate="%{x}: %{y:+.1f} %<br>%{text}<extra></extra>",
    )


def _describe_canary(latency_us: float, temperature_c: float, disturbed: str) -> str:
    temperature = temperature_c if pd.notna(temperature_c) else "unknown"
    return f"{latency_us:.4g} µs, {temperature} °C {escape_name(disturbed)}"


def noise(rows: pd.DataFrame) -> go.Figure:
    """Plot the width of the 95 % intervals of each device's latencies as a box plot.

    The box holds the middle half of the results, the whiskers end at the 10th and 90th percentile.
    The quantiles are computed here, so that 100,000 results take no more space than ten.

    Args:
        rows: Rows of `results`.

    Returns:
        The figure: a box for each device with the interval's width (% of the median latency).
    """
    drawn = rows[rows["latency_low_us"].notna() & (to_floats(rows, "latency_us") > 0)]
    if drawn.empty:
        return make_message(_NO_INTERVALS)
    width = 100 * (drawn["latency_high_us"] - drawn["latency_low_us"]) / drawn["latency_us"]
    quantiles = width.groupby(drawn["device"]).quantile([0.1, 0.25, 0.5, 0.75, 0.9]).unstack()
    figure = _make_device_rows(quantiles.index)
    figure.add_trace(
        go.Box(
            y=list(quantiles.index),
            lowerfence=quantiles[0.1],
            q1=quantiles[0.25],
            median=quantiles[0.5],
            q3=quantiles[0.75],
            upperfence=quantiles[0.9],
            orientation="h",
            marker_color=BLUE,
        )
    )
    title = "95 % interval<br>(% of the median)"
    return merge_legend(figure.update_xaxes(title_text=title, rangemode="tozero"))


def anatomy(profile: pd.DataFrame, rows: pd.DataFrame) -> go.Figure:
    """Plot how each artifact's time is divided among the roles of its operators.

    There is a panel for each device.

    Args:
        profile: Rows of the query `op_profile`.
        rows: Rows of `results`, from which the artifacts get their names.

    Returns:
        The figure: a bar for each artifact and thread count with shares of the time (%), by role.
    """
    if profile.empty:
        return make_message(_NO_PROFILES)
    variants = name_variants(rows) + " " + rows["precision"].fillna("")
    variant_of = dict(zip(rows["artifact"], variants, strict=True))
    names = profile["artifact"].map(variant_of).fillna(profile["artifact"].str[:12])
    threads = profile["threads"].map(lambda count: "" if count == 1 else f", {count} threads")
    bars = profile.assign(
        bar=profile["artifact"] + threads,
        name=names + threads,
        share=100 * profile["time_share"],
    )
    panels = list(bars.groupby("device", sort=True))
    max_bars = max(panel["bar"].nunique() for _, panel in panels)
    figure = make_grid([device for device, _ in panels], columns=1, row_px=_ROW_PX * max_bars + 60)
    for index, (_, panel) in enumerate(panels):
        table = panel.pivot_table("share", ["name", "bar"], "role", "sum", fill_value=0)
        table = table.droplevel("name")
        ordered = table[[role for role in _ROLES if role in table]]
        for trace in _make_bars(ordered, _ROLES, unit=" %"):
            figure.add_trace(trace, **locate_panel(figure, index))
    distinct = bars.drop_duplicates("bar")
    figure.update_layout(barmode="stack")
    figure.update_yaxes(category_axis(distinct["bar"], distinct["name"]))
    return merge_legend(figure.update_xaxes(title_text="share of time (%)", range=[0, 100]))


def _make_bars(table: pd.DataFrame, styles: dict[str, tuple[str, str]], unit: str) -> list[go.Bar]:
    """Return horizontal bars for each column of the table, with its colour and pattern."""
    bars = []
    for part in table.columns:
        color, pattern = styles[part]
        bar = go.Bar(
            y=list(table.index),
            x=table[part],
            name=part,
            orientation="h",
            marker={
                "color": color,
                "pattern": {
                    "shape": pattern,
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255,255,255,0.6)",
                },
            },
            hovertemplate=f"%{{y}}: {part} %{{x:.4~g}}{unit}<extra></extra>",
        )
        bars.append(bar)
    return bars


def _make_device_rows(devices: Sequence[str]) -> go.Figure:
    """Return a figure of one panel with a row for each device."""
    figure = make_grid([""], columns=1, row_px=_ROW_PX * len(devices) + _FRAME_PX)
    return figure.update_yaxes(category_axis(devices, devices))
