"""Objectives and constraints of a search as people write them: short, and with units."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from harness.config.document import Document
from harness.config.quantity import parse_quantity
from harness.config.yaml_text import KeyPath, show_briefly
from harness.core.search import LimitedMetric, SearchMetric, is_of_device
from harness.core.sweep import SweepPoint

_OBJECTIVES = ("search", "objectives")
_CONSTRAINTS = ("search", "constraints")


def spell_out_metrics(document: Document) -> Document:
    """Return the document with mappings for names of objectives, and numbers for quantities.

    `accuracy` becomes `{metric: accuracy}`; `at_most: 5 ms` becomes 5000, in µs. What has neither
    form stays as it is, to be refused by its type. Raises ConfigError for a wrong quantity.
    """
    search = document.content.get("search")
    if not isinstance(search, Mapping):
        return document
    spelled_out = dict(search)
    if isinstance(objectives := search.get("objectives"), list):
        spelled_out["objectives"] = [
            {"metric": name} if isinstance(name, str) else name for name in objectives
        ]
    if isinstance(constraints := search.get("constraints"), list):
        spelled_out["constraints"] = [
            _spell_out_constraint(document, constraint, path=(*_CONSTRAINTS, index))
            for index, constraint in enumerate(constraints)
        ]
    return replace(document, content={**document.content, "search": spelled_out})


def _spell_out_constraint(document: Document, constraint: Any, path: KeyPath) -> Any:
    if not isinstance(constraint, Mapping) or "at_most" not in constraint:
        return constraint
    metric: Any = constraint.get("metric")
    if metric not in get_args(LimitedMetric):
        names = ", ".join(get_args(LimitedMetric))
        text = show_briefly(json.dumps(metric, ensure_ascii=False))
        problem = f"is {text}" if "metric" in constraint else "is missing"
        raise document.error((*path, "metric"), f"{problem}; choose from {names}.")
    try:
        at_most = parse_quantity(constraint["at_most"], metric)
    except ValueError as error:
        raise document.error((*path, "at_most"), f"{error}.") from error
    return {**constraint, "at_most": at_most}


def check_metrics(document: Document, head: SweepPoint) -> None:
    """Refuse repeated metrics of a search, and threads that the sweep does not measure.

    Raises ConfigError.
    """
    counts = tuple(dict.fromkeys(head.bench.threads))
    sections: dict[KeyPath, Sequence[SearchMetric]] = {
        _OBJECTIVES: head.search.objectives,
        _CONSTRAINTS: head.search.constraints,
    }
    for prefix, metrics in sections.items():
        paths: dict[tuple[object, ...], str] = {}
        for index, metric in enumerate(metrics):
            path = (*prefix, index)
            _check_threads(document, metric, path=path, counts=counts)
            identity = (metric.metric, metric.on, metric.threads or counts[0])
            if identity in paths:
                raise document.error(path, f"repeats {paths[identity]}; remove one of them.")
            paths[identity] = ".".join(map(str, path))


def _check_threads(
    document: Document, metric: SearchMetric, path: KeyPath, counts: Sequence[int]
) -> None:
    if not is_of_device(metric):
        return
    choices = ", ".join(map(str, counts))
    if metric.threads is None and len(counts) > 1:
        raise document.error(path, f"needs threads, one of bench.threads: {choices}.")
    if metric.threads is not None and metric.threads not in counts:
        raise document.error(
            (*path, "threads"),
            f"is {metric.threads}, but bench.threads has {choices}; choose from it, or add it.",
        )
