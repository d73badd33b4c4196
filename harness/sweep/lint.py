"""Lint a sweep's networks: each is built untrained in its deployed form, converted and checked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness import data
from harness.config.sweep_file import Point
from harness.conversion.convert import convert
from harness.conversion.lint import Report, lint
from harness.core.errors import TrialFailed
from harness.core.ids import content_id
from harness.core.sweep import Trial
from harness.data import Dataset
from harness.sweep.trials import build_trials
from harness.training.trial import build_deployed_model, build_model, translate_memory_errors

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class LintedNetwork:
    """A network of a sweep, named by what distinguishes it from the others.

    `result` is a TrialFailed if the network cannot be converted.
    """

    name: str
    result: Report | TrialFailed


def lint_sweep(points: Sequence[Point]) -> Iterator[LintedNetwork]:
    """Lint each network once, however it is trained. Raises ConfigError and DataUnavailable."""
    trials: list[tuple[Trial, str]] = []
    for point in points:
        trials += [(trial, point.values.dataset) for trial in build_trials(point)]
    datasets: dict[str, Dataset] = {}
    networks: dict[str, tuple[Trial, Dataset]] = {}
    for trial, source in trials:
        if source not in datasets:
            datasets[source] = data.load(source)
        dataset = datasets[source]
        networks.setdefault(_identify(trial, dataset), (trial, dataset))
    for trial, dataset in networks.values():
        yield LintedNetwork(_describe(trial, dataset), _lint_network(trial, dataset))


def _identify(trial: Trial, dataset: Dataset) -> str:
    return content_id(
        [trial.architecture, trial.parameters, trial.precision, dataset.shape, dataset.classes]
    )


def _describe(trial: Trial, dataset: Dataset) -> str:
    parameters = [f"{key}={value}" for key, value in trial.parameters.items()]
    image = "×".join(map(str, dataset.shape))
    return " ".join(
        [trial.architecture, *parameters, f"{trial.precision}, {image} in, {dataset.classes} out"]
    )


def _lint_network(trial: Trial, dataset: Dataset) -> Report | TrialFailed:
    try:
        with translate_memory_errors(trial):
            model = build_model(trial, dataset)
            _perturb_constant_weights(model)
            network = build_deployed_model(trial, dataset, model=model)
            return lint(convert(network, trial.precision, samples=dataset.train.images))
    except TrialFailed as error:
        return error


def _perturb_constant_weights(model: "Model") -> None:
    """Change weights that are all the same, as training does.

    Otherwise the converter removes operators, such as the addition of zeros.
    """
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            weight if np.ptp(weight) else weight + generator.uniform(0.1, 0.5, weight.shape)
            for weight in model.get_weights()
        ]
    )
