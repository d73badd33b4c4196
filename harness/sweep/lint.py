"""The networks of a sweep, each as LCE would run it: built untrained in its deployed form, converted, and looked at."""

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
    """A network of a sweep, by what makes it another one than the rest; a TrialFailed where it can't be converted."""

    name: str
    result: Report | TrialFailed


def lint_sweep(points: Sequence[Point]) -> Iterator[LintedNetwork]:
    """Each network once, whatever it is trained with. Raises ConfigError, and DataUnavailable."""
    trials = [(trial, point.values.dataset) for point in points for trial in build_trials(point)]
    datasets = {
        source: data.load(source) for source in dict.fromkeys(source for _, source in trials)
    }
    networks: dict[str, tuple[Trial, Dataset]] = {}
    for trial, source in trials:
        networks.setdefault(_identity(trial, datasets[source]), (trial, datasets[source]))
    for trial, dataset in networks.values():
        yield LintedNetwork(_name(trial, dataset), _found(trial, dataset))


def _identity(trial: Trial, dataset: Dataset) -> str:
    return content_id(
        [trial.architecture, trial.parameters, trial.precision, dataset.shape, dataset.classes]
    )


def _name(trial: Trial, dataset: Dataset) -> str:
    parameters = [f"{key}={value}" for key, value in trial.parameters.items()]
    image = "×".join(map(str, dataset.shape))
    return " ".join(
        [trial.architecture, *parameters, f"{trial.precision}, {image} in, {dataset.classes} out"]
    )


def _found(trial: Trial, dataset: Dataset) -> Report | TrialFailed:
    try:
        with translate_memory_errors(trial):
            model = build_model(trial, dataset)
            _spread(model)
            return lint(
                convert(
                    build_deployed_model(trial, dataset, model=model),
                    trial.precision,
                    samples=dataset.train.images,
                )
            )
    except TrialFailed as error:
        return error


def _spread(model: "Model") -> None:
    """Moves weights that start all alike, as training does: the converter leaves out a sum with zeros."""
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            weight if np.ptp(weight) else weight + generator.uniform(0.1, 0.5, weight.shape)
            for weight in model.get_weights()
        ]
    )
