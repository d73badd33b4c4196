"""Figures of what was trained and measured, made from data frames.

The notebooks and the page of `harness report` share them.
Each function returns a figure with a sentence if there is nothing to draw.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from harness.core.front import find_unbeaten
from harness.core.quality import OK, name_warnings, parse_quality
from harness.core.units import format_bytes, format_percent, format_us
from harness.report.frames import to_records
from harness.report.style import (
    BLUE,
    GREY,
    OWN_MODEL,
    PRECISIONS,
    VERMILION,
    Axis,
    MarkerStyle,
    add_legend,
    escape_name,
    locate_panel,
    make_grid,
    make_message,
    merge_legend,
    scatter_type,
    share_y_range,
    to_floats,
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
_NO_ACCURACY = (
    "There is no result with an accuracy yet. "
    "`harness submit sweep FILE --bench` trains and measures a sweep."
)
_NO_ENERGY = (
    "No energy was measured. The device needs a power sensor, or `power: COMMAND` in "
    "devices.yaml. Then run `harness bench --force`."
)
_NO_RESULTS = {
    "latency_us": _NO_ACCURACY,
    "size_bytes": _NO_ACCURACY,
    "energy_uj": _NO_ENERGY,
}


def trade_offs(rows: pd.DataFrame, against: str = "latency_us") -> go.Figure:
    """Plot accuracy against a cost, with a panel for each device and data set.

    The dashed line is the Pareto front: the variants that no other variant beats in both respects.
    A hollow marker stands for a result with a warning.

    Args:
        rows: Rows of `results`.
        against: Column with the cost: `latency_us`, `size_bytes` or `energy_uj`.

    Returns:
        The figure; accuracy is in %, the cost in s, B or J. Bars are 95 % intervals.

    Raises:
        KeyError: `against` is another column.
    """
    cost = COSTS[against]
    drawn = rows[rows["accuracy"].notna() & (to_floats(rows, against) > 0)]
    if drawn.empty:
        return make_message(_NO_RESULTS[against])
    panels = split_panels(drawn.assign(variant=name_variants(drawn)))
    figure = make_grid([title for title, _ in panels])
    for index, (_, panel) in enumerate(panels):
        position = locate_panel(figure, index)
        figure.add_trace(_make_front_line(panel, cost), **position)
        for trace in _make_points(panel, cost, total_points=len(drawn)):
            figure.add_trace(trace, **position)
        figure.update_xaxes(cost.fit(_values_and_bounds(panel, cost)), **position)
    figure.update_xaxes(cost.settings()).update_yaxes(ACCURACY.settings())
    return add_legend(share_y_range(figure), {**PRECISIONS, _OWN_MODEL_NAME: OWN_MODEL})


def split_panels(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split rows by device and data set, as accuracies on two data sets cannot be compared.

    A title names the device, and the data set if there are several.
    """
    has_several = rows["dataset"].nunique(dropna=False) > 1
    panels = []
    for (device, dataset), group in rows.groupby(["device", "dataset"], sort=True, dropna=False):
        dataset_name = "custom models" if pd.isna(dataset) else dataset
        panels.append((f"{device}, {dataset_name}" if has_several else str(device), group))
    return panels


def name_variants(rows: pd.DataFrame) -> Any:
    """Return a series with a label for each row that names the settings in which rows differ."""
    key = rows["artifact"] + rows["trial"].fillna("") + rows["inputs"].fillna("")
    is_first = ~key.duplicated()
    columns = ("model", "parameters", "recipe", "seed", "dataset", "file", "artifact", "inputs")
    labels = label_rows(to_records(rows[is_first], columns))
    return key.map(dict(zip(key[is_first], labels, strict=True)))


def find_pareto_front(costs: Any, gains: Any) -> Any:
    """Return the positions of the points that no other point beats, by increasing cost."""
    return find_unbeaten(np.column_stack([costs, -gains]).tolist())


# Names of earlier versions, which notebooks may import.
panels, variants, front = split_panels, name_variants, find_pareto_front


def _make_front_line(panel: pd.DataFrame, cost: Axis) -> go.Scatter:
    costs, gains = cost.values(panel), ACCURACY.values(panel)
    front = find_pareto_front(costs, gains)
    return go.Scatter(
        x=costs[front],
        y=gains[front],
        mode="lines",
        line={"shape": "hv", "color": GREY, "width": 1.5, "dash": "dash"},
        name="Pareto front",
        hoverinfo="skip",
    )


def _make_points(panel: pd.DataFrame, cost: Axis, total_points: int) -> Iterator[Any]:
    for precision, group in panel.groupby(panel["precision"].fillna(_OWN_MODEL_NAME), sort=True):
        style = PRECISIONS.get(precision, OWN_MODEL)
        yield scatter_type(total_points)(
            x=cost.values(group),
            y=ACCURACY.values(group),
            error_x=_make_interval(group, cost),
            mode="markers",
            marker={
                "color": style.color,
                "size": 9,
                "symbol": _choose_symbols(group, style, cost=cost),
            },
            name=precision,
            text=[_describe_result(row) for row in to_records(group, _HOVER_COLUMNS)],
            hovertemplate="%{text}<extra></extra>",
        )


def _choose_symbols(rows: pd.DataFrame, style: MarkerStyle, cost: Axis) -> list[str]:
    """Return hollow symbols for results with a warning; warnings do not concern sizes."""
    is_filled = (rows["quality"] == OK) | (cost.column not in _BOUNDS)
    return [style.symbol if filled else f"{style.symbol}-open" for filled in is_filled]


def _make_interval(rows: pd.DataFrame, cost: Axis) -> dict[str, Any] | None:
    if cost.column not in _BOUNDS:
        return None
    low, high = (to_floats(rows, column) * cost.scale for column in _BOUNDS[cost.column])
    return {**_make_error_bars(cost.values(rows), low, high=high), "thickness": 1}


def _make_error_bars(values: Any, low: Any, high: Any) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": high - values,
        "arrayminus": values - low,
    }


def _values_and_bounds(rows: pd.DataFrame, cost: Axis) -> Any:
    """Return all that is drawn along the axis: the values and the ends of their intervals."""
    return to_floats(rows, [cost.column, *_BOUNDS.get(cost.column, ())]) * cost.scale


_OWN_MODEL_NAME = "custom model"
_HOVER_COLUMNS = (
    "variant",
    "precision",
    "trial",
    "artifact",
    "device",
    "threads",
    "latency_us",
    "latency_low_us",
    "latency_high_us",
    "accuracy",
    "size_bytes",
    "quality",
)


def _describe_result(row: dict[str, Any]) -> str:
    """Return the text that is shown when the mouse is over a result."""
    interval = ", no interval"
    if row["latency_low_us"] is not None:
        interval = f" ({format_us(row['latency_low_us'])} … {format_us(row['latency_high_us'])})"
    warnings = name_warnings(parse_quality(row["quality"]))
    lines = (
        f"<b>{escape_name(row['variant'])}</b> {escape_name(row['precision'] or '')}",
        f"trial {row['trial'] or '–'}, artifact {row['artifact'][:12]}",
        f"{escape_name(row['device'])}, threads: {row['threads']}",
        f"{format_us(row['latency_us'])}{interval}",
        f"accuracy {format_percent(row['accuracy'])}, {format_bytes(row['size_bytes'])}",
        f"quality: {escape_name(warnings)}",
    )
    return "<br>".join(lines)


_VERDICTS = {
    "faster": MarkerStyle(BLUE, "triangle-up"),
    "slower": MarkerStyle(VERMILION, "triangle-down"),
    "no difference found": MarkerStyle(GREY, "circle"),
    "unknown": MarkerStyle(GREY, "x"),
}
_TWIN_LATENCY = Axis(
    "baseline_latency_us", "latency of the float32 twin", unit="s", scale=1e-6, si=True, log=True
)
_SPEED_UP = Axis("ratio", "speed-up: float32 / binary latency", unit="×", log=True)
_SIZE_REDUCTION = Axis("size_ratio", "times smaller: float32 / binary size", unit="×", log=True)
_ACCURACY_DIFFERENCE = Axis(
    "accuracy_difference", "accuracy, binary - float32", unit="percentage points", scale=100
)
_NO_TWINS = (
    "No binary network was measured together with its float32 twin. "
    "Train a sweep with `precision: [binary, float32]` and run `harness bench --sweep NAME`."
)


def binary_against_float(pairs: pd.DataFrame) -> go.Figure:
    """Plot how many times faster binary is than float32, with a panel for each device.

    Args:
        pairs: Rows of `twins()` or `compare("float32", "binary")`.

    Returns:
        The figure: the speed-up (×) and its 95 % interval, by the latency of the float32 twin (s).
    """
    drawn = pairs[to_floats(pairs, "ratio") > 0] if len(pairs) else pairs
    if drawn.empty:
        return make_message(_NO_TWINS)
    panels = list(drawn.groupby("device", sort=True))
    figure = make_grid([device for device, _ in panels])
    for index, (_, panel) in enumerate(panels):
        position = locate_panel(figure, index)
        for verdict, group in panel.groupby("verdict", sort=True):
            trace = _make_speed_ups(group, verdict, total_points=len(drawn))
            figure.add_trace(trace, **position)
        figure.update_xaxes(_TWIN_LATENCY.fit(_TWIN_LATENCY.values(panel)), **position)
    figure.add_hline(y=1, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.update_xaxes(_TWIN_LATENCY.settings())
    speed_ups = np.append(1 / to_floats(drawn, ["ratio", "ratio_low", "ratio_high"]), 1.0)
    figure.update_yaxes(_SPEED_UP.settings(), **_SPEED_UP.fit(speed_ups))
    return merge_legend(share_y_range(figure))


def _make_speed_ups(pairs: pd.DataFrame, verdict: str, total_points: int) -> Any:
    style = _VERDICTS[verdict]
    speed_ups, low, high = (
        1 / to_floats(pairs, column) for column in ("ratio", "ratio_high", "ratio_low")
    )
    return scatter_type(total_points)(
        x=_TWIN_LATENCY.values(pairs),
        y=speed_ups,
        error_y=_make_error_bars(speed_ups, low, high=high),
        mode="markers",
        marker={"color": style.color, "size": 10, "symbol": style.symbol},
        name=f"binary is {verdict}" if verdict in ("faster", "slower") else verdict,
        text=[_describe_pair(row) for row in pairs.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _describe_pair(row: dict[str, Any]) -> str:
    """Return the text that is shown when the mouse is over a pair of twins."""
    baseline_us, candidate_us = row["baseline_latency_us"], row["candidate_latency_us"]
    points = 100 * row["accuracy_difference"]
    lines = (
        f"<b>{escape_name(row['variant'])}</b>",
        f"{escape_name(row['device'])}, threads: {row['threads']}",
        f"{1 / row['ratio']:.3g} times as fast{_format_speed_up_interval(row)}",
        f"{format_us(baseline_us)} → {format_us(candidate_us)}",
        f"{1 / row['size_ratio']:.3g} times smaller, {points:+.1f} points of accuracy",
        f"artifacts {row['baseline_artifact'][:12]} → {row['candidate_artifact'][:12]}",
        *(escape(line, quote=False) for line in row["differences"].split("; ") if line),
    )
    return "<br>".join(lines)


def _format_speed_up_interval(row: dict[str, Any]) -> str:
    if pd.isna(row["ratio_low"]):
        return ", no interval"
    return f" ({1 / row['ratio_high']:.3g} … {1 / row['ratio_low']:.3g})"


def smaller_for_points(pairs: pd.DataFrame) -> go.Figure:
    """Plot the accuracy that binary gives up against the size that it saves.

    Neither depends on the device, so each pair is drawn once.

    Args:
        pairs: Rows of `twins()` or `compare("float32", "binary")`.

    Returns:
        The figure: binary minus float32 accuracy (percentage points) with its 95 % interval,
        by how many times smaller binary is (×).
    """
    drawn = pairs[pairs["accuracy_difference"].notna()] if len(pairs) else pairs
    if drawn.empty:
        return make_message(_NO_TWINS)
    drawn = drawn.drop_duplicates(["baseline_artifact", "candidate_artifact"])
    reductions, points = 1 / to_floats(drawn, "size_ratio"), _ACCURACY_DIFFERENCE.values(drawn)
    low, high = (100 * to_floats(drawn, f"accuracy_difference_{end}") for end in ("low", "high"))
    trace = scatter_type(len(drawn))(
        x=reductions,
        y=points,
        error_y=_make_error_bars(points, low, high=high),
        mode="markers",
        marker={"color": BLUE, "size": 10, "symbol": "circle"},
        text=[_describe_pair(row) for row in drawn.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )
    figure = make_grid([""]).add_trace(trace, row=1, col=1)
    figure.update_xaxes(_SIZE_REDUCTION.settings(), **_SIZE_REDUCTION.fit(reductions))
    figure.update_yaxes(_ACCURACY_DIFFERENCE.settings())
    return merge_legend(figure)


_MEASURE_TITLES = {
    "accuracy": "accuracy on held-out images (%)",
    "loss": "training loss (no unit)",
}
_NO_EPOCHS = (
    "No epoch has ended yet. `harness submit sweep FILE` trains a sweep, "
    "`harness status` shows its progress."
)


def training_curves(curves: pd.DataFrame, measure: str = "accuracy") -> go.Figure:
    """Plot accuracy or loss by epoch, with a panel for each sweep and a line for each trial.

    Args:
        curves: Rows of the query `curves`.
        measure: `accuracy`, or `loss` for the training loss. Accuracy is that on the held-out
            images, or on the training images of a trial that holds none out.

    Returns:
        The figure; accuracy is in %, loss has no unit.

    Raises:
        KeyError: `measure` is neither.
    """
    if curves.empty:
        return make_message(_NO_EPOCHS)
    accuracy = 100 * curves["validation_accuracy"].fillna(curves["accuracy"])
    drawn = curves.assign(value=accuracy if measure == "accuracy" else curves["loss"])
    sweeps = list(drawn.groupby("sweep", sort=True))
    figure = make_grid([name for name, _ in sweeps], columns=2)
    for index, (_, sweep) in enumerate(sweeps):
        for trace in _make_curves(sweep, total_points=len(drawn)):
            figure.add_trace(trace, **locate_panel(figure, index))
    figure.update_yaxes(title_text=_MEASURE_TITLES[measure])
    return merge_legend(figure.update_xaxes(title_text="epoch (number)", rangemode="tozero"))


def _make_curves(sweep: pd.DataFrame, total_points: int) -> Iterator[Any]:
    """Yield a trace for each precision: the lines of its trials, with gaps between them.

    A separate trace for each trial would be slow.
    """
    dashes = dict(zip(PRECISIONS, ("solid", "dash", "dot", "dashdot"), strict=True))
    for precision, group in sweep.groupby("precision", sort=True):
        style = PRECISIONS.get(precision, OWN_MODEL)
        ordered = group.sort_values(["trial", "epoch"], kind="stable")
        gaps = ordered.drop_duplicates("trial", keep="last").assign(value=np.nan)
        rows = pd.concat([ordered, gaps]).sort_values("trial", kind="stable")
        trials = zip(rows["trial"], rows["model"], rows["seed"], strict=True)
        yield scatter_type(total_points)(
            x=to_floats(rows, "epoch"),
            y=to_floats(rows, "value"),
            mode="lines",
            line={"color": style.color, "width": 1.5, "dash": dashes.get(precision, "solid")},
            name=precision,
            text=[
                f"trial {trial}, {escape_name(model)}, seed {seed}" for trial, model, seed in trials
            ],
            hovertemplate="%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>",
        )
