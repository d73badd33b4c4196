"""The searches of sweeps: their methods, spaces, objectives and constraints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, delete, insert

from harness.core.device import Device
from harness.core.ids import to_plain
from harness.core.search import Constraint, Search, SearchMetric, is_of_device
from harness.core.sweep import Sweep
from harness.store.database import now, write_transaction
from harness.store.rows.values import insert_or_replace, to_json
from harness.store.tables import search_metrics, searches

NO_DEVICE = ""


class SearchRows:
    """The searches of sweeps; a new submission of a sweep replaces its search."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, sweep: Sweep, places: Mapping[str, Sequence[Device]]) -> None:
        """Store the sweep's search; do nothing if the sweep tries all its points for accuracy.

        `places` maps each `on` to its devices, as `resolve_places` does. Raises KeyError if it
        lacks one.
        """
        if not _has_search(sweep.search):
            return
        metrics = list(_list_metrics(sweep, places))
        with write_transaction(self._engine) as connection:
            insert_or_replace(connection, searches, row=_search_columns(sweep))
            connection.execute(delete(search_metrics).where(search_metrics.c.sweep == sweep.name))
            connection.execute(insert(search_metrics), metrics)


def _has_search(search: Search) -> bool:
    return search.method != "grid" or bool(search.constraints)


def _search_columns(sweep: Sweep) -> dict[str, Any]:
    search = sweep.search
    return {
        "sweep": sweep.name,
        "method": search.method,
        "trials": search.trials,
        "space": to_json(to_plain(search.space)) if search.space else None,
        "submitted_at": now(),
    }


def _list_metrics(sweep: Sweep, places: Mapping[str, Sequence[Device]]) -> Iterator[dict[str, Any]]:
    """Yield the row of each objective and constraint, one for each device of its place."""
    search = sweep.search
    metrics: tuple[SearchMetric, ...] = (*search.objectives, *search.constraints)
    for number, metric in enumerate(metrics):
        row = {"sweep": sweep.name, "number": number, **_metric_columns(metric, sweep=sweep)}
        devices = [device.id for device in places[metric.on]] if metric.on else [NO_DEVICE]
        for device in devices:
            yield {**row, "device": device}


def _metric_columns(metric: SearchMetric, sweep: Sweep) -> dict[str, Any]:
    threads = (metric.threads or sweep.protocols[0].threads) if is_of_device(metric) else None
    return {
        "name": str(metric),
        "metric": metric.metric,
        "place": metric.on,
        "threads": threads,
        "at_most": metric.at_most if isinstance(metric, Constraint) else None,
    }
