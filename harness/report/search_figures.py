"""Figures of a search: the front and how it grew, the hypervolume, and which keys mattered.

Each function returns a figure with a sentence if there is nothing to draw.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from harness.core.errors import RequestError
from harness.core.search import Metric, format_metric
from harness.core.units import count_noun
from harness.report.figures import find_pareto_front
from harness.report.importance import MIN_POINTS, compute_importance
from harness.report.searches import SearchResult, SoughtMetric, hypervolume_over_time
from harness.report.style import (
    BLUE,
    GREY,
    ORANGE,
    PADDING_SHARE,
    PURPLE,
    VERMILION,
    Axis,
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

_FROM_FIRST_TO_LAST = [[0.0, ORANGE], [0.5, PURPLE], [1.0, BLUE]]
_GROWTH = (0.25, 0.5, 0.75)
"""The shares of the feasible points after which the front is drawn as well."""
_FIRST, _LAST = "tried first", "tried last"
_TRAINED, _UNTRAINED = "infeasible", "infeasible, never trained"
_STYLES = {
    _FIRST: MarkerStyle(ORANGE, "circle"),
    _LAST: MarkerStyle(BLUE, "circle"),
    _TRAINED: MarkerStyle(VERMILION, "x"),
    _UNTRAINED: MarkerStyle(VERMILION, "x-thin-open"),
}
_FRONT, _EARLIER_FRONT, _LIMIT = "front", "front so far", "limit"
_UNITS: dict[Metric, tuple[str, float, bool]] = {
    "accuracy": ("%", 100.0, False),
    "size": ("B", 1.0, True),
    "memory": ("B", 1.0, True),
    "latency": ("s", 1e-6, True),
    "energy": ("J", 1e-6, True),
}
_TIMES = {"worker_s": "work of all trainings", "wall_s": "time since the start"}
_TIME_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))
_ROW_PX, _FRAME_PX = 36, 50
_NO_SEARCH = (
    "No search has a point yet. `harness submit sweep FILE` starts one, "
    "if the file has a section `search`."
)
_NO_FEASIBLE = "No point is feasible yet. `harness query search` shows what each of them lacks."
_NO_IMPORTANCE = (
    f"The importance of keys needs {MIN_POINTS} points with different values of this objective."
)
_NO_LOOKS = (
    "No network was measured both before and after its training. "
    "A search with an objective or constraint of a device does that."
)


def search_front(result: SearchResult | None) -> go.Figure:
    """Plot the points of a search and its front, with a panel for each objective but the first.

    A point's colour is the place in which it was tried. The dashed line is the front of the panel's
    two objectives: the feasible points that no other beats in both. Dotted lines are the fronts
    after a quarter, half and three quarters of the feasible points. Crosses are infeasible points;
    the thin ones at the bottom were never trained. A search with one objective is plotted by order.

    Args:
        result: A search; None if there is none.

    Returns:
        The figure; accuracy is in %, a latency in s, an energy in J, a size or a memory in B.
    """
    if result is None:
        return make_message(_NO_SEARCH)
    if len(result.objectives) == 1:
        return _plot_progress(result)
    gain = next(filter(lambda each: each.is_gain, result.objectives), result.objectives[0])
    costs = [objective for objective in result.objectives if objective is not gain]
    if to_floats(result.points, result.names).size == 0 or not _is_drawable(result, costs):
        return make_message(_NO_FEASIBLE)
    figure = make_grid([cost.name for cost in costs])
    figure.add_trace(_make_legend_entry(_FIRST))
    for index, cost in enumerate(costs):
        _plot_pair(figure, result, cost=cost, gain=gain, position=locate_panel(figure, index))
    return add_legend(figure, _STYLES)


def _is_drawable(result: SearchResult, costs: list[SoughtMetric]) -> bool:
    return all((to_floats(result.points, cost.name) > 0).any() for cost in costs)


def _plot_pair(
    figure: go.Figure,
    result: SearchResult,
    cost: SoughtMetric,
    gain: SoughtMetric,
    position: dict[str, int],
) -> None:
    x_axis, y_axis = _make_axis(cost), _make_axis(gain)
    points = result.points[to_floats(result.points, cost.name) > 0]
    bottom = _find_bottom(y_axis.values(points))
    for trace in _make_fronts(result, x_axis, y_axis=y_axis, gain=gain):
        figure.add_trace(trace, **position)
    for trace in _make_points(result, points, x_axis=x_axis, y_axis=y_axis, bottom=bottom):
        figure.add_trace(trace, **position)
    drawn = x_axis.values(points)
    limit = _find_limit(result, cost)
    if limit is not None:
        drawn = np.append(drawn, limit * x_axis.scale)
        figure.add_vline(
            x=limit * x_axis.scale, line={"color": VERMILION, "dash": "dot", "width": 1}, **position
        )
    figure.update_xaxes(x_axis.settings(), **position).update_xaxes(x_axis.fit(drawn), **position)
    figure.update_yaxes(y_axis.settings(), **position)


def _make_axis(objective: SoughtMetric) -> Axis:
    unit, scale, is_log = _UNITS[objective.metric]
    title = escape_name(objective.name)
    return Axis(objective.name, title, unit=unit, scale=scale, si=is_log, log=is_log)


def _find_bottom(values: Any) -> float:
    """Return a height just below the values, for points that have none."""
    heights = values[~np.isnan(values)]
    if not len(heights):
        return 0.0
    return float(heights.min() - max(0.5, PADDING_SHARE * np.ptp(heights)))


def _find_limit(result: SearchResult, cost: SoughtMetric) -> float | None:
    """Return the limit of the same metric at the same place, if the search has one."""
    limits = (each for each in result.constraints if each.name.startswith(f"{cost.name}, "))
    return next((limit.at_most for limit in limits), None)


def _make_fronts(
    result: SearchResult, x_axis: Axis, y_axis: Axis, gain: SoughtMetric
) -> Iterator[go.Scatter]:
    """Yield the fronts of the first points, and that of all."""
    feasible = result.feasible
    sign = 1.0 if gain.is_gain else -1.0
    for share in (*_GROWTH, 1.0):
        first = feasible.head(round(share * len(feasible)))
        if first.empty:
            continue
        costs, gains = x_axis.values(first), y_axis.values(first)
        front = find_pareto_front(costs, sign * gains)
        is_last = share == 1.0
        color = GREY if is_last else sample_colorscale(_FROM_FIRST_TO_LAST, share)[0]
        yield go.Scatter(
            x=costs[front],
            y=gains[front],
            mode="lines",
            line={
                "shape": "hv",
                "color": color,
                "width": 1.5 if is_last else 1,
                "dash": "dash" if is_last else "dot",
            },
            name=_FRONT if is_last else _EARLIER_FRONT,
            hoverinfo="skip",
        )


def _make_points(
    result: SearchResult, points: pd.DataFrame, x_axis: Axis, y_axis: Axis, bottom: float
) -> Iterator[Any]:
    infeasible = points[points["state"] == "infeasible"]
    is_trained = infeasible[y_axis.column].notna()
    groups = {
        _LAST: points[points["state"] == "done"],
        _TRAINED: infeasible[is_trained],
        _UNTRAINED: infeasible[~is_trained],
    }
    for name, group in groups.items():
        if group.empty:
            continue
        yield scatter_type(len(points))(
            x=x_axis.values(group),
            y=np.nan_to_num(y_axis.values(group), nan=bottom),
            mode="markers",
            marker=_make_marker(name, group, total=len(result.points)),
            name=name,
            text=[_describe_point(result, row) for row in group.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        )


def _make_legend_entry(name: str) -> go.Scatter:
    return go.Scatter(x=[None], y=[None], mode="markers", name=name)


def _make_marker(name: str, points: pd.DataFrame, total: int) -> dict[str, Any]:
    style = _STYLES[name]
    marker: dict[str, Any] = {"size": 9, "symbol": style.symbol, "color": style.color}
    if name == _LAST:
        marker["color"] = points["number"].astype(int)
        marker |= {"colorscale": _FROM_FIRST_TO_LAST, "cmin": 1, "cmax": max(total, 2)}
    if name == _UNTRAINED:
        marker["line"] = {"color": style.color, "width": 1.5}
    return marker


def _describe_point(result: SearchResult, row: dict[Any, Any]) -> str:
    """Return the text that is shown when the mouse is over a point."""
    metrics = [
        f"{escape_name(metric.name)}: {format_metric(metric.metric, row[metric.name])}"
        for metric in (*result.objectives, *result.constraints)
        if pd.notna(row[metric.name])
    ]
    settings = [f"{escape_name(key)}: {escape_name(row[key])}" for key in result.keys]
    message = [] if pd.isna(row["message"]) else [escape_name(row["message"])]
    return "<br>".join(
        [f"<b>point {row['number']}</b>, {row['state']}", *metrics, *settings, *message]
    )


def _plot_progress(result: SearchResult) -> go.Figure:
    """Plot the only objective by order, with the best so far."""
    (objective,) = result.objectives
    axis = _make_axis(objective)
    points = result.points[result.points[objective.name].notna()]
    if points.empty:
        return make_message(_NO_FEASIBLE)
    figure = make_grid([objective.name])
    figure.add_trace(_make_legend_entry(_FIRST))
    feasible = points[points["state"] == "done"]
    best = np.maximum.accumulate if objective.is_gain else np.minimum.accumulate
    figure.add_trace(
        go.Scatter(
            x=feasible["number"].astype(int),
            y=best(axis.values(feasible)) if len(feasible) else [],
            mode="lines",
            line={"shape": "hv", "color": GREY, "width": 1.5, "dash": "dash"},
            name="best so far",
            hoverinfo="skip",
        )
    )
    by_order = Axis("number", "point, in the order tried", unit="number")
    for trace in _make_points(result, points, x_axis=by_order, y_axis=axis, bottom=0.0):
        figure.add_trace(trace)
    figure.update_xaxes(by_order.settings()).update_yaxes(axis.settings())
    if axis.log:
        figure.update_yaxes(axis.fit(axis.values(points)))
    return add_legend(figure, _STYLES)


def search_hypervolume(result: SearchResult | None, over: str = "worker_s") -> go.Figure:
    """Plot how the hypervolume of a search grew.

    It is a share of the space between the worst and the best values: what the feasible points beat.
    It is 0 at the reference, and 1 for a point that is the best in all objectives.

    Args:
        result: A search; None if there is none.
        over: `worker_s` for the work of all trainings, `wall_s` for the time since the start.

    Returns:
        The figure: the hypervolume (a share of 1) by time (s, min or h).

    Raises:
        KeyError: `over` is neither.
    """
    title = _TIMES[over]
    if result is None:
        return make_message(_NO_SEARCH)
    growth = hypervolume_over_time(result)
    if growth.empty:
        return make_message(_NO_FEASIBLE)
    seconds = to_floats(growth, over)
    unit, size = next(
        (pair for pair in _TIME_UNITS if seconds.max() >= 2 * pair[1]), _TIME_UNITS[-1]
    )
    figure = make_grid([""])
    figure.add_trace(
        go.Scatter(
            x=seconds / size,
            y=growth["hypervolume"],
            mode="lines+markers",
            line={"shape": "hv", "color": BLUE, "width": 2},
            marker={"size": 5, "color": BLUE},
            customdata=growth["number"],
            hovertemplate=f"after point %{{customdata}}: %{{y:.3f}} at %{{x:.4~g}} {unit}"
            "<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=f"{title} ({unit})", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume (share of 1)", range=[0, 1.05])
    return merge_legend(figure)


def search_importance(result: SearchResult | None, objective: str | None = None) -> go.Figure:
    """Plot how much each swept key decides an objective, with a panel for each objective.

    Args:
        result: A search; None if there is none.
        objective: The name of the only objective to plot, one of `result.names`.

    Returns:
        The figure: a bar for each key with its share of the objective's variance (%).
    """
    if result is None:
        return make_message(_NO_SEARCH)
    sought = [each for each in result.objectives if objective in (None, each.name)]
    try:
        shares = {each.name: compute_importance(result, each) for each in sought}
    except RequestError as error:  # Optuna is not installed
        return make_message(str(error))
    if not any(shares.values()):
        return make_message(_NO_IMPORTANCE)
    figure = make_grid(list(shares), columns=1, row_px=_ROW_PX * len(result.keys) + _FRAME_PX)
    for index, panel in enumerate(shares.values()):
        figure.add_trace(_make_share_bars(panel), **locate_panel(figure, index))
    figure.update_yaxes(category_axis(result.keys, result.keys))
    return merge_legend(figure.update_xaxes(title_text="share of the variance (%)", range=[0, 105]))


def _make_share_bars(shares: Mapping[str, float]) -> go.Bar:
    return go.Bar(
        y=list(shares),
        x=[100 * share for share in shares.values()],
        orientation="h",
        marker={"color": BLUE},
        hovertemplate="%{y}: %{x:.3~g} %<extra></extra>",
    )


def first_looks(looks: pd.DataFrame) -> go.Figure:
    """Plot how far the latency of untrained networks was off, once they were trained.

    Args:
        looks: Rows of the query `first_looks`.

    Returns:
        The figure: the median and the worst difference (%), by device and architecture.
    """
    if looks.empty:
        return make_message(_NO_LOOKS)
    has_threads = looks["threads"].nunique() > 1
    names = [
        f"{row.device}, {row.model}"
        + (f", {count_noun(row.threads, 'thread')}" if has_threads else "")
        for row in looks.itertuples()
    ]
    figure = make_grid([""], columns=1, row_px=_ROW_PX * len(names) + _FRAME_PX)
    styles = {"median": MarkerStyle(BLUE, "circle"), "worst": MarkerStyle(VERMILION, "diamond")}
    for name, style in styles.items():
        figure.add_trace(
            go.Scatter(
                x=100 * to_floats(looks, f"{name}_off"),
                y=names,
                mode="markers",
                marker={"color": style.color, "symbol": style.symbol, "size": 10},
                name=name,
                customdata=looks["networks"],
                hovertemplate="%{y}: %{x:.3~g} % of %{customdata} networks<extra></extra>",
            )
        )
    figure.update_yaxes(category_axis(names, names))
    figure.update_xaxes(title_text="trained against untrained latency (%)", rangemode="tozero")
    return add_legend(figure, styles)
