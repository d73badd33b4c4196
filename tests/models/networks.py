"""Small networks of every architecture, trained for a few steps on some of the digits."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness import data
from harness.conversion.anatomy import read_anatomy
from harness.conversion.convert import convert
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.data import Dataset
from harness.data.dataset import Split
from harness.models import ARCHITECTURES, Task, make_task
from harness.models.blocks import add_softmax
from harness.training.fit import Fit

RECIPE = Recipe(epochs=4, batch_size=50, learning_rate=0.003, validation=0)


@dataclass(frozen=True)
class Small:
    """An architecture's parameters, and the multiplying operators of its binary artifact."""

    parameters: Mapping[str, Any]
    products: Mapping[str, int]


SMALL = {
    "binarynet": Small({"blocks": 1, "filters": 32, "units": 32}, {"CONV_2D": 1, "LceBconv2d": 4}),
    "birealnet": Small(
        {"stages": 2, "layers": 1, "filters": 32},
        {"CONV_2D": 2, "FULLY_CONNECTED": 1, "LceBconv2d": 2},
    ),
    "cnn": Small(
        {"stages": 2, "blocks": 1, "filters": 32},
        {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 1, "LceBconv2d": 2},
    ),
    "lstm": Small(
        {"layers": 2, "units": 64}, {"CONV_2D": 1, "FULLY_CONNECTED": 1, "LceBconv2d": 7 + 1 + 7}
    ),
    "mlp": Small({"layers": 2, "units": 32}, {"CONV_2D": 1, "LceBconv2d": 2}),
    "quicknet": Small(
        {"stages": 2, "blocks": 1, "filters": 32},
        {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 1, "LceBconv2d": 2},
    ),
    "transformer": Small(
        {"blocks": 1, "heads": 2, "head_units": 16, "patch": 2},
        {"CONV_2D": 1, "FULLY_CONNECTED": 5, "LceBconv2d": 4},
    ),
}


@dataclass(frozen=True, eq=False)
class Trained:
    """The trained and the deployed Keras model of one architecture and precision."""

    trained: Any
    deployed: Any


@cache
def some_digits() -> Dataset:
    digits = data.load("digits")
    train = Split(digits.train.images[:500], digits.train.labels[:500])
    return Dataset(
        digits.name,
        digits.classes,
        train=train,
        test=Split(digits.test.images[:100], digits.test.labels[:100]),
    )


def task(precision: Precision) -> Task:
    return make_task(some_digits().shape, some_digits().classes, precision=precision, recipe=RECIPE)


@cache
def network(name: str, precision: Precision) -> Trained:
    """Train a network once per test run; int8 uses the float twin, as in a sweep."""
    if precision.trained is not precision:
        return network(name, precision.trained)
    from harness.models.keras import keras

    keras.utils.set_random_seed(0)
    architecture = ARCHITECTURES[name](**SMALL[name].parameters)
    trial = Trial(
        name,
        SMALL[name].parameters,
        chosen={},
        precision=precision,
        dataset="digits",
        recipe=RECIPE,
        seed=0,
    )
    fit = Fit(trial, architecture.build_training_model(task(precision)), dataset=some_digits())
    deque(fit.run_epochs(), maxlen=0)
    return Trained(
        fit.model, add_softmax(architecture.build_deployed_model(task(precision), fit.model))
    )


@cache
def artifact(name: str, precision: Precision) -> bytes:
    return convert(network(name, precision).deployed, precision, samples=some_digits().train.images)


def operators(name: str, precision: Precision) -> dict[str, int]:
    return dict(read_anatomy(artifact(name, precision)).operators)


def layer_types(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]
