"""A sweep file's points → its trials, checked against the architectures and data sets that there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness import data
from harness.config.document import Document, validate
from harness.config.protocol import resolve_protocol
from harness.config.sweep_file import Point, build_point
from harness.core.bench import with_threads
from harness.core.errors import DataUnavailable, RequestError
from harness.core.ids import omit_defaults, to_plain
from harness.core.sweep import Sweep, Trial
from harness.models import ARCHITECTURES, Architecture, custom


def build_sweep(points: Sequence[Point]) -> Sweep:
    """The points' trials, each once, however many points say the same. Raises ConfigError.

    Where a search finds its points as it goes, there are none yet.
    """
    sources = {_dataset(point): point.values.dataset for point in points}
    trials = {trial.id: trial for point in points for trial in build_trials(point)}
    document, first = points[0].document, points[0].values
    protocol = resolve_protocol(document, first.bench.protocol, path=("bench", "protocol"))
    protocols = with_threads(protocol, first.bench.threads)
    found = () if first.search.method == "optuna" else tuple(trials.values())
    return Sweep(
        first.name,
        found,
        resources=first.resources,
        protocols=protocols,
        sources=sources,
        search=first.search,
    )


def build_trials_at(base: Point, values: Mapping[str, Any]) -> tuple[Trial, ...]:
    """Of the point of a search that has these values; `base` is any point of it. Raises ConfigError."""
    return tuple(build_trials(build_point(base.document, values)))


def build_trials(point: Point) -> list[Trial]:
    values, dataset = point.values, _dataset(point)
    name, parameters = _model(point.document, values.model)
    telling = omit_defaults(parameters)
    return [
        Trial(
            name,
            to_plain(parameters),
            chosen=telling,
            precision=precision,
            dataset=dataset,
            recipe=values.train,
            seed=seed,
            convert=values.convert,
        )
        for seed in values.seeds
        for precision in values.precision
    ]


def _dataset(point: Point) -> str:
    """The name by which rows know it."""
    try:
        return data.identify(point.values.dataset)
    except DataUnavailable as error:
        raise point.document.error(("dataset",), str(error)) from error


def _model(
    document: Document, model: Mapping[str, Any]
) -> tuple[str, Architecture | Mapping[str, Any]]:
    """The name by which rows know it, and its parameters."""
    parameters = dict(model)
    name = parameters.pop("name", None)
    known = (
        f"known: {', '.join(ARCHITECTURES)}, or a function of your own, as package.module:function"
    )
    if name is None:
        raise document.error(("model", "name"), f"is missing; {known}.")
    if isinstance(name, str) and name in ARCHITECTURES:
        return name, validate(document, ARCHITECTURES[name], value=parameters, prefix=("model",))
    if not isinstance(name, str) or not custom.is_custom(name):
        raise document.error(("model", "name"), f"is {name!r}; {known}.")
    try:
        return custom.identify(name, parameters), parameters
    except RequestError as error:
        raise document.error(("model", "name"), str(error)) from error
