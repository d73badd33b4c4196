"""The front of a search that another process runs, from the rows of its points."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.search import Metric, describe_point, format_metric
from harness.report.terminal.work_view import FrontPoint

_OWN_COLUMNS: Mapping[Metric, str] = {"accuracy": "accuracy", "size": "size_bytes"}
_Values = Mapping[str, Any]


@dataclass(frozen=True)
class SearchSnapshot:
    """The points of a sweep's search at a moment: rows of the named query `search`.

    `objectives` has the metric of each objective by its name, in their order.
    """

    sweep: str
    objectives: Mapping[str, Metric]
    rows: Sequence[_Values]

    def list_front(self) -> tuple[FrontPoint, ...]:
        """Return the points that no other one beats, best first in the first objective."""
        names = _name_points({row["number"]: json.loads(row["point"]) for row in self.rows})
        objectives = self._read_objectives()
        ordered = sorted(objectives, key=lambda number: self._list_costs(objectives[number]))
        return tuple(
            FrontPoint(names[number], self._format(objectives[number])) for number in ordered
        )

    def _read_objectives(self) -> dict[int, dict[str, float]]:
        """Return the objectives of each point on the front, by the point's number.

        A point has a row for each metric of a device, and columns for its accuracy and size.
        """
        objectives: dict[int, dict[str, float]] = {}
        for row in self.rows:
            if row["on_front"]:
                of_point = objectives.setdefault(row["number"], {})
                of_point[row["metric"]] = row["value"]
                for name, metric in self.objectives.items():
                    if metric in _OWN_COLUMNS:
                        of_point[name] = row[_OWN_COLUMNS[metric]]
        return objectives

    def _list_costs(self, objectives: Mapping[str, float]) -> list[float]:
        """Return the objectives so that less is better."""
        return [
            -objectives[name] if metric == "accuracy" else objectives[name]
            for name, metric in self.objectives.items()
        ]

    def _format(self, objectives: Mapping[str, float]) -> tuple[str, ...]:
        return tuple(
            format_metric(metric, objectives[name]) for name, metric in self.objectives.items()
        )


def _name_points(points: Mapping[int, _Values]) -> dict[int, str]:
    """Describe each point by the values in which the points differ, or by all if none do."""
    values = {number: dict(_flatten(point)) for number, point in points.items()}
    common = set.intersection(*map(_list_texts, values.values())) if values else set()
    names = {}
    for number, of_point in values.items():
        differing = {key for key, _ in _list_texts(of_point) - common} or of_point.keys()
        names[number] = describe_point({key: of_point[key] for key in of_point if key in differing})
    return names


def _list_texts(values: _Values) -> set[tuple[str, str]]:
    return {(key, repr(value)) for key, value in values.items()}


def _flatten(values: _Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted key: a point of a grid has whole models and recipes."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
