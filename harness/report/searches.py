"""The search of a sweep as a data frame: its points in the order tried, and what they reached."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.core.errors import RequestError
from harness.core.search import Metric, format_metric
from harness.report.frames import open_reader, run_query
from harness.report.hypervolume import accumulate_hypervolume
from harness.report.style import to_floats

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SEARCHES = "SELECT sweep, method, space FROM searches ORDER BY submitted_at DESC, sweep"
_METRICS = """
SELECT number, name, metric, max(at_most) AS at_most
FROM search_metrics
WHERE sweep = :sweep
GROUP BY number, name, metric
ORDER BY number"""
_COLUMNS = ("number", "state", "on_front", "train_s", "tried_at", "finished_at", "message")
_OWN_COLUMNS = {"accuracy": "accuracy", "size": "size_bytes"}


@dataclass(frozen=True)
class SoughtMetric:
    """An objective of a search, or a constraint, which has `at_most`.

    `name` is its column in the points. The unit is that of the metric's column: 0 to 1, bytes, µs
    or µJ.
    """

    name: str
    metric: Metric
    at_most: float | None = None

    @property
    def is_gain(self) -> bool:
        """Return whether more is better."""
        return self.metric == "accuracy"


@dataclass(frozen=True)
class Reference:
    """The worst and the best value of each objective among all feasible points.

    The hypervolume is measured from the worst, where it is 0; a point that is the best in all
    objectives has 1.
    """

    objectives: tuple[SoughtMetric, ...]
    worst: tuple[float, ...]
    best: tuple[float, ...]

    def __str__(self) -> str:
        """Return text such as `accuracy 61.0 %, latency on pi4 8.10 ms`."""
        pairs = zip(self.objectives, self.worst, strict=True)
        return ", ".join(
            f"{objective.name} {format_metric(objective.metric, value)}"
            for objective, value in pairs
        )

    def normalise(self, values: Any) -> Any:
        """Return 0 for the worst value of a column, 1 for the best; 1 if all are the same."""
        worst, spans = np.array(self.worst), np.array(self.best) - np.array(self.worst)
        with np.errstate(invalid="ignore"):
            shares = (values - worst) / np.where(spans == 0, 1.0, spans)
        return np.where((spans == 0) & ~np.isnan(values), 1.0, shares)


@dataclass(frozen=True)
class SearchResult:
    """A search and its points.

    `points` has a row for each point in the order tried, with these columns:

    - `number`, `state`, `on_front`, and `feasible`, which is missing if it is unknown.
    - A column for each of `keys`, with the point's swept values.
    - A column for each objective and constraint, with the value of the worst device.
    - `train_s`: the work of its trainings. `tried_at`, `finished_at`: when it began and ended.
    - `message`: why a point is infeasible or failed.

    `space` maps the keys to their choices or ranges; it is empty for a grid.
    """

    sweep: str
    method: str
    objectives: tuple[SoughtMetric, ...]
    constraints: tuple[SoughtMetric, ...]
    space: Mapping[str, Any]
    keys: tuple[str, ...]
    points: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The columns of the objectives."""
        return [objective.name for objective in self.objectives]

    @cached_property
    def feasible(self) -> pd.DataFrame:
        """The points that were trained, keep every limit and have a value for each objective."""
        return self.points[self.points["state"] == "done"]

    @cached_property
    def reference(self) -> Reference | None:
        """The reference of the hypervolume; None without a feasible point."""
        if self.feasible.empty:
            return None
        values = to_floats(self.feasible, self.names)
        ends = list(zip(values.min(axis=0), values.max(axis=0), strict=True))
        gains = [objective.is_gain for objective in self.objectives]
        pairs = list(zip(ends, gains, strict=True))
        return Reference(
            self.objectives,
            worst=tuple(float(low if gain else high) for (low, high), gain in pairs),
            best=tuple(float(high if gain else low) for (low, high), gain in pairs),
        )


def search(sweep: str, workspace: Path | str | None = None) -> SearchResult:
    """Return the search of a sweep with its points.

    Args:
        sweep: The sweep's name.
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.

    Returns:
        The search; its `points` is a data frame with a row for each point.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
        RequestError: The sweep has no search.
    """
    with open_reader(workspace) as reader:
        results = read_searches(reader, sweep=sweep)
    if not results:
        raise RequestError(f"{sweep} has no search; `harness query search` lists those there are.")
    return results[0]


def list_searches(
    workspace: Path | str | None = None, newest: int | None = None
) -> list[SearchResult]:
    """Return the searches of all sweeps, the last submitted first.

    Args:
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.
        newest: The number of searches to return; all by default.

    Returns:
        The searches that have a point.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
    """
    with open_reader(workspace) as reader:
        return read_searches(reader, newest=newest)


def read_searches(
    reader: "Engine", sweep: str | None = None, newest: int | None = None
) -> list[SearchResult]:
    """Return the searches of an open database that have a point, the last submitted first."""
    rows = run_query(reader, _SEARCHES)
    if sweep:
        rows = rows[rows["sweep"] == sweep]
    results: list[SearchResult] = []
    for row in rows.itertuples():
        if newest is not None and len(results) == newest:
            break
        space = {} if pd.isna(row.space) else json.loads(row.space)
        result = _read_search(reader, row.sweep, method=row.method, space=space)
        if len(result.points):
            results.append(result)
    return results


def _read_search(
    reader: "Engine", sweep: str, method: str, space: Mapping[str, Any]
) -> SearchResult:
    metrics = [
        SoughtMetric(
            row.name, row.metric, at_most=None if pd.isna(row.at_most) else float(row.at_most)
        )
        for row in run_query(reader, _METRICS, sweep=sweep).itertuples(index=False)
    ]
    rows = run_query(reader, "search", sweep=sweep)
    settings = _read_settings(rows.drop_duplicates("number"), space)
    objectives = tuple(metric for metric in metrics if metric.at_most is None)
    return SearchResult(
        sweep,
        method,
        objectives=objectives,
        constraints=tuple(metric for metric in metrics if metric.at_most is not None),
        space=space,
        keys=tuple(map(str, settings.columns)),
        points=_make_points(rows, settings, metrics=metrics),
    )


def _make_points(
    rows: pd.DataFrame, settings: pd.DataFrame, metrics: Sequence[SoughtMetric]
) -> pd.DataFrame:
    """Return a row for each point, from rows that a point has for each of its metrics."""
    whole = rows.drop_duplicates("number").set_index("number", drop=False)
    points = whole[list(_COLUMNS)].assign(on_front=whole["on_front"] == 1)
    feasible = points["state"].map({"done": True, "infeasible": False}).astype("boolean")
    points.insert(2, "feasible", feasible)
    measured = rows[rows["metric"].notna()].drop_duplicates(["number", "metric"])
    values = measured.pivot(index="number", columns="metric", values="value")
    columns = {}
    for metric in metrics:
        name = _OWN_COLUMNS.get(metric.metric) if metric.at_most is None else None
        column = whole[name] if name else values.get(metric.name, pd.Series(dtype=float))
        columns[metric.name] = column.reindex(points.index).astype("float64")
    joined = points.join(settings.set_index(points.index)).join(pd.DataFrame(columns))
    return joined.reset_index(drop=True)


def _read_settings(points: pd.DataFrame, space: Mapping[str, Any]) -> pd.DataFrame:
    """Return a column for each swept key; without a space, for each that differs."""
    settings = [_flatten(json.loads(point)) for point in points["point"]]
    frame = pd.DataFrame(settings, index=points.index, dtype=object)
    if space:
        return frame.reindex(columns=list(space))
    return frame[[key for key in frame if frame[key].map(repr).nunique() > 1]]


def _flatten(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by dotted keys, such as `model.units`; lists and the like as JSON."""
    values: dict[str, Any] = {}
    for key, value in point.items():
        parts = (
            {f"{key}.{name}": part for name, part in value.items()}
            if (key in ("model", "train") and isinstance(value, Mapping))
            else {key: value}
        )
        for name, part in parts.items():
            values[name] = json.dumps(part) if isinstance(part, (list, dict)) else part
    return values


def hypervolume_over_time(result: SearchResult) -> pd.DataFrame:
    """Return how the hypervolume of a search grew.

    Args:
        result: A search.

    Returns:
        A row for the start, then one for each point by the time of its end. `number` is the
        point's. `worker_s` is the work of all trainings until then, and `wall_s` the time since the
        first point began. `hypervolume` is 0 to 1, from `result.reference`.
    """
    ended = result.points[result.points["finished_at"].notna()].sort_values(
        "finished_at", kind="stable"
    )
    if ended.empty or result.reference is None:
        return pd.DataFrame(columns=["number", "worker_s", "wall_s", "hypervolume"], dtype=float)
    gains = result.reference.normalise(to_floats(ended, result.names))
    gains[(ended["state"] != "done").to_numpy()] = np.nan
    wall = (ended["finished_at"] - result.points["tried_at"].min()).dt.total_seconds()
    frame = pd.DataFrame(
        {
            "number": ended["number"].astype("int64"),
            "worker_s": ended["train_s"].astype("float64").fillna(0.0).cumsum(),
            "wall_s": wall.clip(lower=0.0),
            "hypervolume": list(accumulate_hypervolume(gains)),
        }
    )
    start = pd.DataFrame([{"number": 0, "worker_s": 0.0, "wall_s": 0.0, "hypervolume": 0.0}])
    return pd.concat([start, frame], ignore_index=True)
