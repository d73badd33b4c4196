"""Data frames → figures of the fleet: what has been measured, how the devices are, where an artifact's time goes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from harness.bench.quality import CANARY_CHANGE
from harness.report.figures import variants
from harness.report.style import (
    BLUE,
    GREY,
    ORANGE,
    ROOM,
    SKY,
    VERMILION,
    Look,
    floats,
    grid,
    legend,
    names,
    once,
    place,
    safe,
    scatter,
    sentence,
)

_ROW_PX, _FRAME_PX = 36, 50  # a row has room for a name of two lines
_DAYS, _MINUTES = pd.Timedelta(hours=36), pd.Timedelta(minutes=30)
# In the order in which they are stacked; patterns tell them apart without colour.
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
_MOMENTS = {"before a batch": Look(BLUE, "circle"), "after a batch": Look(VERMILION, "square")}
_UNBENCHED = "Nothing has been measured yet: `harness bench --sweep NAME --fleet` benches every device of devices.yaml."
_NO_CANARY = (
    "No canary has run here: `harness bench` measures one before and after each batch, "
    "unless its protocol says `canary=off`."
)


def coverage(troubles: pd.DataFrame, measured: pd.DataFrame) -> go.Figure:
    """How many artifacts have a good number on each device, and what the others wait for.

    `troubles` is the query `coverage`; `measured` has the devices and artifacts of `results`.
    """
    pairs = ["device", "artifact"]
    both = measured[pairs].drop_duplicates().merge(troubles[pairs], how="left", indicator="found")
    good = both[both["found"] == "left_only"]
    states = pd.concat(
        [
            good.assign(state="measured"),
            troubles.assign(state=troubles["state"].str.split(":").str[0]),
        ]
    )
    if states.empty:
        return sentence(_UNBENCHED)
    table = states.groupby(["device", "state"]).size().unstack(fill_value=0)
    figure = _tall(table.index).update_layout(barmode="stack")
    figure.add_traces(_bars(table[[state for state in STATES if state in table]], STATES, unit=""))
    return once(figure.update_xaxes(title_text="artifacts (number)"))


def freshness(rows: pd.DataFrame) -> go.Figure:
    """When each device's results were measured: a marker a day, as wide as there were many that day."""
    if rows.empty:
        return sentence(_UNBENCHED)
    days = rows["measured_at"].dt.floor("D").rename("day")
    counts = rows.groupby([rows["device"], days]).size().rename("cases").reset_index()
    size = 8 + 22 * np.sqrt(counts["cases"] / counts["cases"].max())
    figure = _tall(counts["device"].unique())
    figure.add_trace(
        go.Scatter(
            x=counts["day"],
            y=counts["device"],
            mode="markers",
            marker={"color": BLUE, "size": size, "opacity": 0.75},
            customdata=counts["cases"],
            hovertemplate="%{y}, %{x|%Y-%m-%d}: %{customdata} results<extra></extra>",
        )
    )
    return once(figure.update_xaxes(_around(counts["day"], _DAYS), title_text="day measured (UTC)"))


def _around(times: pd.Series, room: pd.Timedelta) -> dict[str, Any]:
    """The range of a time axis, with `room` or more on either side: around one moment plotly's own is microseconds."""
    first, last = times.min(), times.max()
    room = max(room, ROOM * (last - first))
    return {"range": [first - room, last + room], "nticks": 4}


def canary_trend(canaries: pd.DataFrame) -> go.Figure:
    """The canary's latency over time, against the device's own median: a panel a device of the query `canaries`.

    The band is what may be noise, ± 5 %. Hollow markers were disturbed.
    """
    known = canaries[canaries["latency_us"].notna()]
    if known.empty:
        return sentence(_NO_CANARY)
    figure = _canary_panels(known, "measured_at")
    return figure.update_xaxes(
        _around(known["measured_at"], _MINUTES), title_text="measured at (UTC)"
    )


def temperature_against_latency(canaries: pd.DataFrame) -> go.Figure:
    """The same by the device's temperature: what slows down as it warms is throttled."""
    timed = canaries[canaries["latency_us"].notna()]
    if timed.empty:
        return sentence(_NO_CANARY)
    known = timed[timed["temperature_c"].notna()]
    if known.empty:
        return sentence(
            "These devices tell no temperature: `harness devices facts ID` shows the sensors found."
        )
    return _canary_panels(known, "temperature_c").update_xaxes(title_text="temperature (°C)")


def _canary_panels(known: pd.DataFrame, against: str) -> go.Figure:
    panels = list(known.groupby("device", sort=True))
    figure = grid([name for name, _ in panels])
    for index, (_, panel) in enumerate(panels):
        for name, look in _MOMENTS.items():
            figure.add_trace(
                _canaries(panel, name, look=look, against=against, of_all=len(known)),
                **place(figure, index),
            )
    share = 100 * CANARY_CHANGE
    figure.add_hrect(y0=-share, y1=share, fillcolor=GREY, opacity=0.15, line_width=0)
    figure.update_yaxes(title_text="canary against its median (%)")
    return legend(figure, _MOMENTS)


def _canaries(panel: pd.DataFrame, name: str, look: Look, against: str, of_all: int) -> Any:
    usual = float(np.median(floats(panel, "latency_us")))
    same = panel[panel["moment"] == name.partition(" ")[0]].sort_values(against)
    return scatter(of_all)(
        x=same[against],
        y=100 * (floats(same, "latency_us") / usual - 1),
        mode="markers",
        name=name,
        marker={
            "color": look.color,
            "size": 8,
            "symbol": [
                f"{look.symbol}-open" if disturbed else look.symbol
                for disturbed in same["disturbed"]
            ],
        },
        text=[
            f"{latency:.4g} µs, {warm if pd.notna(warm) else 'unknown'} °C {safe(disturbed)}"
            for latency, warm, disturbed in zip(
                same["latency_us"], same["temperature_c"].round(1), same["disturbed"], strict=True
            )
        ],
        hovertemplate="%{x}: %{y:+.1f} %<br>%{text}<extra></extra>",
    )


def noise(rows: pd.DataFrame) -> go.Figure:
    """How wide the 95 % intervals of each device's latencies are: quartiles, and the tenth and ninetieth percentile.

    They are computed here: of 100,000 results a reader gets five numbers a device.
    """
    known = rows[rows["latency_low_us"].notna() & (floats(rows, "latency_us") > 0)]
    if known.empty:
        return sentence(
            "No latency has an interval yet, which takes six processes: `harness bench --protocol standard` has ten."
        )
    width = 100 * (known["latency_high_us"] - known["latency_low_us"]) / known["latency_us"]
    parts = width.groupby(known["device"]).quantile([0.1, 0.25, 0.5, 0.75, 0.9]).unstack()
    figure = _tall(parts.index)
    figure.add_trace(
        go.Box(
            y=list(parts.index),
            lowerfence=parts[0.1],
            q1=parts[0.25],
            median=parts[0.5],
            q3=parts[0.75],
            upperfence=parts[0.9],
            orientation="h",
            marker_color=BLUE,
        )
    )
    return once(
        figure.update_xaxes(title_text="95 % interval<br>(% of the median)", rangemode="tozero")
    )


def anatomy(profile: pd.DataFrame, rows: pd.DataFrame) -> go.Figure:
    """Where each artifact's time goes, by the role of its operators: a panel a device of the query `op_profile`.

    `rows` are the `results` that name the artifacts.
    """
    if profile.empty:
        return sentence(
            "No operator has been timed yet: `harness bench --sweep NAME --profile` notes them."
        )
    known = dict(
        zip(rows["artifact"], variants(rows) + " " + rows["precision"].fillna(""), strict=True)
    )
    named = profile["artifact"].map(known).fillna(profile["artifact"].str[:12])
    threads = profile["threads"].map(lambda count: "" if count == 1 else f", {count} threads")
    bars = profile.assign(
        bar=profile["artifact"] + threads, name=named + threads, share=100 * profile["time_share"]
    )
    panels = list(bars.groupby("device", sort=True))
    most = max(panel["bar"].nunique() for _, panel in panels)
    figure = grid([name for name, _ in panels], columns=1, row_px=_ROW_PX * most + 60)
    for index, (_, panel) in enumerate(panels):
        table = panel.pivot_table("share", ["name", "bar"], "role", "sum", fill_value=0).droplevel(
            "name"
        )
        for trace in _bars(table[[role for role in _ROLES if role in table]], _ROLES, unit=" %"):
            figure.add_trace(trace, **place(figure, index))
    once_each = bars.drop_duplicates("bar")
    figure.update_layout(barmode="stack").update_yaxes(names(once_each["bar"], once_each["name"]))
    return once(figure.update_xaxes(title_text="share of time (%)", range=[0, 100]))


def _bars(table: pd.DataFrame, looks: dict[str, tuple[str, str]], unit: str) -> list[go.Bar]:
    return [
        go.Bar(
            y=list(table.index),
            x=table[part],
            name=part,
            orientation="h",
            marker={
                "color": looks[part][0],
                "pattern": {
                    "shape": looks[part][1],
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255,255,255,0.6)",
                },
            },
            hovertemplate=f"%{{y}}: {part} %{{x:.4~g}}{unit}<extra></extra>",
        )
        for part in table.columns
    ]


def _tall(devices: Sequence[str]) -> go.Figure:
    """A panel with a row for each device."""
    figure = grid([""], columns=1, row_px=_ROW_PX * len(devices) + _FRAME_PX)
    return figure.update_yaxes(names(devices, devices))
