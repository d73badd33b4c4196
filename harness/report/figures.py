"""Data frames → figures of what was trained and measured. The notebooks and the page of `harness report` share them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from harness.core.quality import OK, name_warnings, parse_quality
from harness.core.units import format_bytes, format_percent, format_us
from harness.report.frames import records
from harness.report.style import (
    BLUE,
    GREY,
    OWN_MODEL,
    PRECISIONS,
    VERMILION,
    Axis,
    Look,
    alike,
    floats,
    grid,
    legend,
    once,
    place,
    safe,
    scatter,
    sentence,
)
from harness.report.variants import label_rows

ACCURACY = Axis("accuracy", "accuracy on the test set", unit="%", scale=100)
COSTS = {
    axis.column: axis
    for axis in (
        Axis("latency_us", "latency of one inference", unit="s", scale=1e-6, si=True, log=True),
        Axis("size_bytes", "size of the artifact", unit="B", si=True, log=True),
        Axis("energy_uj", "energy of one inference", unit="J", scale=1e-6, si=True, log=True),
    )
}
_BOUNDS = {
    "latency_us": ("latency_low_us", "latency_high_us"),
    "energy_uj": ("energy_low_uj", "energy_high_uj"),
}
_NOTHING = {
    "latency_us": "Nothing with an accuracy has been measured here yet: `harness submit sweep FILE --bench` does.",
    "size_bytes": "Nothing with an accuracy has been measured here yet: `harness submit sweep FILE --bench` does.",
    "energy_uj": "No energy was measured: the device needs a power sensor, or `power: COMMAND` in devices.yaml; "
    "then `harness bench --force`.",
}


def trade_offs(rows: pd.DataFrame, against: str = "latency_us") -> go.Figure:
    """Accuracy against `latency_us`, `size_bytes` or `energy_uj`: a panel for each device and data set of `results`.

    The line is the Pareto front: what no other variant of the panel beats in both. Hollow markers have a warning.
    """
    cost = COSTS[against]
    known = rows[rows["accuracy"].notna() & (floats(rows, against) > 0)]
    if known.empty:
        return sentence(_NOTHING[against])
    known = known.assign(variant=variants(known))
    found = panels(known)
    figure = grid([title for title, _ in found])
    for index, (_, panel) in enumerate(found):
        for trace in (_front_line(panel, cost), *_points(panel, cost, of_all=len(known))):
            figure.add_trace(trace, **place(figure, index))
        figure.update_xaxes(cost.around(_reached(panel, cost)), **place(figure, index))
    figure.update_xaxes(cost.settings()).update_yaxes(ACCURACY.settings())
    return legend(alike(figure), {**PRECISIONS, _OWN: OWN_MODEL})


def panels(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each device and data set, as accuracies on two can't be compared; the title names what differs."""
    several = rows["dataset"].nunique(dropna=False) > 1
    groups = rows.groupby(["device", "dataset"], sort=True, dropna=False)
    return [
        (
            f"{device}, {'own models' if pd.isna(dataset) else dataset}"
            if several
            else str(device),
            same,
        )
        for (device, dataset), same in groups
    ]


def variants(rows: pd.DataFrame) -> Any:
    """A name for each row: the settings that tell these rows apart. Each artifact is named once, however many rows."""
    key = rows["artifact"] + rows["trial"].fillna("")
    first = ~key.duplicated()
    names = label_rows(
        records(
            rows[first], ("model", "parameters", "recipe", "seed", "dataset", "file", "artifact")
        )
    )
    return key.map(dict(zip(key[first], names, strict=True)))


def front(costs: Any, gains: Any) -> Any:
    """Positions of the points that no other one beats: of lower cost and at least its gain, or the other way round."""
    order = np.lexsort((-gains, costs))
    best = np.maximum.accumulate(gains[order])
    return order[np.concatenate(([True], best[1:] > best[:-1]))]


def _front_line(panel: pd.DataFrame, cost: Axis) -> go.Scatter:
    costs, gains = cost.values(panel), ACCURACY.values(panel)
    on = front(costs, gains)
    line = {"shape": "hv", "color": GREY, "width": 1.5, "dash": "dash"}
    return go.Scatter(
        x=costs[on], y=gains[on], mode="lines", line=line, name="Pareto front", hoverinfo="skip"
    )


def _points(panel: pd.DataFrame, cost: Axis, of_all: int) -> Iterator[Any]:
    for precision, same in panel.groupby(panel["precision"].fillna(_OWN), sort=True):
        look = PRECISIONS.get(precision, OWN_MODEL)
        yield scatter(of_all)(
            x=cost.values(same),
            y=ACCURACY.values(same),
            error_x=_interval(same, cost),
            mode="markers",
            marker={"color": look.color, "size": 9, "symbol": _symbols(same, look, cost=cost)},
            name=precision,
            text=[_hover(row) for row in records(same, _HOVERED)],
            hovertemplate="%{text}<extra></extra>",
        )


def _symbols(rows: pd.DataFrame, look: Look, cost: Axis) -> list[str]:
    """Hollow where there is a warning, which a size never has."""
    sure = (rows["quality"] == OK) | (cost.column not in _BOUNDS)
    return [look.symbol if one else f"{look.symbol}-open" for one in sure]


def _interval(rows: pd.DataFrame, cost: Axis) -> dict[str, Any] | None:
    if cost.column not in _BOUNDS:
        return None
    low, high = (floats(rows, column) * cost.scale for column in _BOUNDS[cost.column])
    middle = cost.values(rows)
    return {
        "type": "data",
        "symmetric": False,
        "array": high - middle,
        "arrayminus": middle - low,
        "thickness": 1,
    }


def _reached(rows: pd.DataFrame, cost: Axis) -> Any:
    """All that is drawn along the axis: the values and the ends of their intervals."""
    return floats(rows, [cost.column, *_BOUNDS.get(cost.column, ())]) * cost.scale


_OWN = "own model"
_HOVERED = (
    "variant", "precision", "trial", "artifact", "device", "threads", "latency_us", "latency_low_us", "latency_high_us",
    "accuracy", "size_bytes", "quality",
)  # fmt: skip


def _hover(row: dict[str, Any]) -> str:
    interval = f" ({format_us(row['latency_low_us'])} … {format_us(row['latency_high_us'])})"
    warnings = name_warnings(parse_quality(row["quality"]))
    lines = (
        f"<b>{safe(row['variant'])}</b> {safe(row['precision'] or '')}",
        f"trial {row['trial'] or '–'}, artifact {row['artifact'][:12]}",
        f"{safe(row['device'])}, threads: {row['threads']}",
        f"{format_us(row['latency_us'])}{interval if row['latency_low_us'] is not None else ', no interval'}",
        f"{format_percent(row['accuracy'])} accurate, {format_bytes(row['size_bytes'])}",
        f"quality: {safe(warnings)}",
    )
    return "<br>".join(lines)


_VERDICTS = {
    "faster": Look(BLUE, "triangle-up"),
    "slower": Look(VERMILION, "triangle-down"),
    "no difference found": Look(GREY, "circle"),
    "unknown": Look(GREY, "x"),
}
_TWIN = Axis(
    "baseline_latency_us", "latency of the float32 twin", unit="s", scale=1e-6, si=True, log=True
)
_SPEED_UP = Axis("ratio", "speed-up: float32 / binary latency", unit="×", log=True)
_SMALLER = Axis("size_ratio", "times smaller: float32 / binary size", unit="×", log=True)
_POINTS = Axis(
    "accuracy_difference", "accuracy, binary - float32", unit="percentage points", scale=100
)
_NO_PAIRS = (
    "No binary artifact was measured beside its float32 twin: a sweep with `precision: [binary, float32]` "
    "and `harness bench --sweep NAME` make such pairs."
)


def binary_against_float(pairs: pd.DataFrame) -> go.Figure:
    """How many times faster binary is, with its 95 % interval: a panel a device of `compare("float32", "binary")`."""
    known = pairs[floats(pairs, "ratio") > 0] if len(pairs) else pairs
    if known.empty:
        return sentence(_NO_PAIRS)
    panels = list(known.groupby("device", sort=True))
    figure = grid([name for name, _ in panels])
    for index, (_, panel) in enumerate(panels):
        for verdict, same in panel.groupby("verdict", sort=True):
            figure.add_trace(_speed_ups(same, verdict, of_all=len(known)), **place(figure, index))
        figure.update_xaxes(_TWIN.around(_TWIN.values(panel)), **place(figure, index))
    figure.add_hline(y=1, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.update_xaxes(_TWIN.settings())
    reached = np.append(1 / floats(known, ["ratio", "ratio_low", "ratio_high"]), 1.0)
    figure.update_yaxes(_SPEED_UP.settings(), **_SPEED_UP.around(reached))
    return once(alike(figure))


def _speed_ups(pairs: pd.DataFrame, verdict: str, of_all: int) -> Any:
    look = _VERDICTS[verdict]
    times, least, most = (
        1 / floats(pairs, column) for column in ("ratio", "ratio_high", "ratio_low")
    )
    return scatter(of_all)(
        x=_TWIN.values(pairs),
        y=times,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": most - times,
            "arrayminus": times - least,
        },
        mode="markers",
        marker={"color": look.color, "size": 10, "symbol": look.symbol},
        name=f"binary is {verdict}" if verdict in ("faster", "slower") else verdict,
        text=[_told(row) for row in pairs.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _told(row: dict[str, Any]) -> str:
    lines = (
        f"<b>{safe(row['variant'])}</b>",
        f"{safe(row['device'])}, threads: {row['threads']}",
        f"{1 / row['ratio']:.3g} times as fast{_bounds(row)}",
        f"{format_us(row['baseline_latency_us'])} → {format_us(row['candidate_latency_us'])}",
        f"{1 / row['size_ratio']:.3g} times smaller, {100 * row['accuracy_difference']:+.1f} points of accuracy",
        f"artifacts {row['baseline_artifact'][:12]} → {row['candidate_artifact'][:12]}",
    )
    return "<br>".join(lines)


def _bounds(row: dict[str, Any]) -> str:
    if pd.isna(row["ratio_low"]):
        return ", no interval"
    return f" ({1 / row['ratio_high']:.3g} … {1 / row['ratio_low']:.3g})"


def smaller_for_points(pairs: pd.DataFrame) -> go.Figure:
    """What binary costs in accuracy, for how much less size: each pair once, as devices do not matter here."""
    known = pairs[pairs["accuracy_difference"].notna()] if len(pairs) else pairs
    if known.empty:
        return sentence(_NO_PAIRS)
    known = known.drop_duplicates(["baseline_artifact", "candidate_artifact"])
    points = _POINTS.values(known)
    low, high = (100 * floats(known, f"accuracy_difference_{end}") for end in ("low", "high"))
    figure = grid([""]).add_trace(
        scatter(len(known))(
            x=1 / floats(known, "size_ratio"),
            y=points,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": high - points,
                "arrayminus": points - low,
            },
            mode="markers",
            marker={"color": BLUE, "size": 10, "symbol": "circle"},
            text=[_told(row) for row in known.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    figure.update_xaxes(_SMALLER.settings(), **_SMALLER.around(1 / floats(known, "size_ratio")))
    figure.update_yaxes(_POINTS.settings())
    return once(figure)


_MEASURES = {
    "accuracy": "accuracy on held-out images (%)",
    "loss": "training loss (no unit)",
}


def training_curves(curves: pd.DataFrame, measure: str = "accuracy") -> go.Figure:
    """`accuracy` or `loss` by epoch: a panel for each sweep of the query `curves`, a line for each trial.

    Accuracy is that on the held-out images; of trials that have none, on their training images.
    """
    if curves.empty:
        return sentence(
            "No epoch has ended yet: `harness submit sweep FILE` trains, `harness status` tells how far."
        )
    accuracy = 100 * curves["validation_accuracy"].fillna(curves["accuracy"])
    known = curves.assign(value=accuracy if measure == "accuracy" else curves["loss"])
    sweeps = list(known.groupby("sweep", sort=True))
    figure = grid([name for name, _ in sweeps], columns=2)
    for index, (_, sweep) in enumerate(sweeps):
        for trace in _curves(sweep, len(known)):
            figure.add_trace(trace, **place(figure, index))
    figure.update_yaxes(title_text=_MEASURES[measure])
    return once(figure.update_xaxes(title_text="epoch (number)", rangemode="tozero"))


def _curves(sweep: pd.DataFrame, of_all: int) -> Iterator[Any]:
    """A trace for each precision: its trials' lines with a gap between them, as one trace a trial would be slow."""
    dashes = dict(zip(PRECISIONS, ("solid", "dash", "dot", "dashdot"), strict=True))
    for precision, same in sweep.groupby("precision", sort=True):
        look = PRECISIONS.get(precision, OWN_MODEL)
        ordered = same.sort_values(["trial", "epoch"], kind="stable")
        gaps = ordered.drop_duplicates("trial", keep="last").assign(value=np.nan)
        rows = pd.concat([ordered, gaps]).sort_values("trial", kind="stable")
        yield scatter(of_all)(
            x=floats(rows, "epoch"),
            y=floats(rows, "value"),
            mode="lines",
            line={"color": look.color, "width": 1.5, "dash": dashes.get(precision, "solid")},
            name=precision,
            text=[
                f"trial {row[0]}, {safe(row[1])}, seed {row[2]}"
                for row in zip(rows["trial"], rows["model"], rows["seed"], strict=True)
            ],
            hovertemplate="%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>",
        )
