"""The trials of a sweep file's points, checked against the known architectures and data sets."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness import data
from harness.config.protocol import resolve_protocol
from harness.config.sweep_file import Point, build_point
from harness.core.bench import with_threads
from harness.core.errors import DataUnavailable, RequestError
from harness.core.ids import omit_defaults, to_plain
from harness.core.sweep import Sweep, Trial
from harness.models import ARCHITECTURES, Architecture, custom


def build_sweep(points: Sequence[Point]) -> Sweep:
    """Return a sweep with the points' trials; trials that several points share appear once.

    An adaptive search has no trials yet, as it chooses its points while it runs.
    Raises ConfigError.
    """
    sources: dict[str, str] = {}
    trials: dict[str, Trial] = {}
    for point in points:
        sources[_identify_dataset(point)] = point.values.dataset
    for point in points:
        trials.update({trial.id: trial for trial in build_trials(point)})
    document, values = points[0].document, points[0].values
    protocol = resolve_protocol(document, values.bench.protocol, path=("bench", "protocol"))
    return Sweep(
        values.name,
        () if values.search.method == "optuna" else tuple(trials.values()),
        resources=values.resources,
        protocols=with_threads(protocol, values.bench.threads),
        sources=sources,
        search=values.search,
    )


def build_trials_at(base: Point, values: Mapping[str, Any]) -> tuple[Trial, ...]:
    """Return the trials of the search's point with these values; `base` is any of its points.

    Raises ConfigError.
    """
    return tuple(build_trials(build_point(base.document, values)))


def build_trials(point: Point) -> list[Trial]:
    """Return the point's trials, one for each seed and precision. Raises ConfigError."""
    values, dataset = point.values, _identify_dataset(point)
    architecture, parameters = _identify_model(point)
    trials = []
    for seed in values.seeds:
        for precision in values.precision:
            trial = Trial(
                architecture,
                to_plain(parameters),
                chosen=omit_defaults(parameters),
                precision=precision,
                dataset=dataset,
                recipe=values.train,
                seed=seed,
                convert=values.convert,
            )
            trials.append(trial)
    return trials


def _identify_dataset(point: Point) -> str:
    """Return the name under which rows store the data set."""
    try:
        return data.identify(point.values.dataset)
    except DataUnavailable as error:
        raise point.document.error(("dataset",), str(error)) from error


def _identify_model(point: Point) -> tuple[str, Architecture | Mapping[str, Any]]:
    """Return the name under which rows store the model, and its parameters."""
    parameters = dict(point.values.model)
    name = parameters.pop("name", None)
    advice = f"use {', '.join(ARCHITECTURES)}, or your own function as package.module:function"
    if name is None:
        raise point.document.error(("model", "name"), f"is missing; {advice}.")
    if isinstance(name, str) and name in ARCHITECTURES:
        return name, point.validate(ARCHITECTURES[name], parameters, prefix=("model",))
    if not isinstance(name, str) or not custom.is_custom(name):
        raise point.document.error(("model", "name"), f"is unknown: {name!r}; {advice}.")
    try:
        return custom.identify(name, parameters), parameters
    except RequestError as error:
        raise point.document.error(("model", "name"), str(error)) from error
