"""A sweep file's points → its trials, checked against the architectures and data sets that there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.bench import with_threads
from harness.core.ids import essential, plain
from harness.core.sweep import Sweep, Trial
from harness.data import DATASETS
from harness.models import ARCHITECTURES, Architecture
from harness.spec.document import Document, check
from harness.spec.protocol import protocol_of
from harness.spec.sweep_file import Point


def sweep_of(points: Sequence[Point]) -> Sweep:
    """The points' trials, each once, however many points say the same. Raises SpecError."""
    trials = {trial.id: trial for point in points for trial in _trials(point)}
    document, first = points[0].document, points[0].values
    protocol = protocol_of(document, first.bench.protocol, ("bench", "protocol"))
    return Sweep(first.name, tuple(trials.values()), first.resources, with_threads(protocol, first.bench.threads))


def _trials(point: Point) -> list[Trial]:
    values = point.values
    if values.dataset not in DATASETS:
        raise point.document.error(("dataset",), f"is {values.dataset!r}; known: {', '.join(DATASETS)}.")
    name, parameters = _model(point.document, values.model)
    telling = essential(parameters)
    return [
        Trial(name, plain(parameters), telling, precision, values.dataset, values.train, seed, values.convert)
        for seed in values.seeds
        for precision in values.precision
    ]


def _model(document: Document, model: Mapping[str, Any]) -> tuple[str, Architecture]:
    parameters = dict(model)
    name = parameters.pop("name", None)
    if name is None:
        raise document.error(("model", "name"), f"is missing; known: {', '.join(ARCHITECTURES)}.")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise document.error(("model", "name"), f"is {name!r}; known: {', '.join(ARCHITECTURES)}.")
    return name, check(document, ARCHITECTURES[name], parameters, ("model",))
