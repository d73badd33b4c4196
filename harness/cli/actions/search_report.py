"""The output of a search that hears devices: its points as they end, and its front."""

from collections.abc import Iterator, Mapping, Sequence

from harness.core.front import find_front
from harness.core.search import Search, describe_point, format_metric
from harness.core.units import count_noun
from harness.pipeline.search_events import (
    LookMisled,
    NothingFeasible,
    PointFailed,
    PointInfeasible,
    PointTold,
    SearchEvent,
)
from harness.report.terminal.work import WorkProgress
from harness.report.terminal.work_view import FrontPoint
from harness.sweep.study import SearchPoint


class SearchReporter:
    """A reporter of the points of a search, and of the front of those that are feasible."""

    def __init__(self, search: Search, progress: WorkProgress) -> None:
        self._search = search
        self._progress = progress
        self._points: dict[int, SearchPoint] = {}  # those that are told and feasible, by number
        self._objectives: dict[int, Mapping[str, float]] = {}
        self._infeasible = self._failed = 0

    def report(self, event: SearchEvent) -> None:
        match event:
            case PointInfeasible(point=point, cause=cause):
                self._infeasible += 1
                self._progress.skip(len(point.trials))
                self._print(point, f"infeasible: {cause.message}")
            case PointFailed(point=point, failure=failure):
                self._failed += 1
                self._print(point, f"failed ({failure.reason}): {failure.message}")
            case PointTold(point=point, objectives=objectives, is_feasible=is_feasible):
                if is_feasible:
                    self._points[point.number] = point
                    self._objectives[point.number] = objectives
                    self._progress.set_front(self._list_front(), self._name_objectives())
                end = "" if is_feasible else "; infeasible once trained"
                self._print(point, f"{self._join(self._format(objectives))}{end}")
            case NothingFeasible(points=points, nearest=nearest):
                self._progress.note(
                    f"None of the first {points} points keeps the constraints. The nearest is "
                    f"{describe_point(nearest.point.values)}: {nearest.cause.message}"
                )
            case LookMisled(architecture=architecture, device=device, message=message):
                self._progress.note(
                    f"{architecture} on {device}: {message}. Its networks are measured after "
                    "their training from now on."
                )

    def summarise(self) -> Iterator[str]:
        """Yield lines about the whole search: its counts and its front."""
        trained = count_noun(len(self._objectives), "feasible point")
        failed = f", {self._failed} failed" if self._failed else ""
        yield f"{trained} trained, {self._infeasible} infeasible{failed}."
        for best in self._list_front():
            yield f"  on the front: {best.point}: {self._join(best.objectives)}"

    def _list_front(self) -> list[FrontPoint]:
        return [
            FrontPoint(
                describe_point(self._points[number].values), self._format(self._objectives[number])
            )
            for number in find_front(self._objectives, self._search.objectives)
        ]

    def _name_objectives(self) -> list[str]:
        return list(map(str, self._search.objectives))

    def _print(self, point: SearchPoint, line: str) -> None:
        self._progress.note(f"{describe_point(point.values)}: {line}")

    def _format(self, objectives: Mapping[str, float]) -> tuple[str, ...]:
        return tuple(
            format_metric(objective.metric, objectives[str(objective)])
            for objective in self._search.objectives
        )

    def _join(self, values: Sequence[str]) -> str:
        """Return such as `accuracy 92 %, latency on pi4 3.2 ms`."""
        pairs = zip(self._name_objectives(), values, strict=True)
        return ", ".join(f"{name} {value}" for name, value in pairs)
