"""Why does a squared hinge loss not learn? Set-ups that are one step away from the one that does.

    python -m benchmarks.hinge [--units 256] [--epochs 2] [--seeds 0]

Trains a binary MLP of three layers on Fashion-MNIST, batch 100, at four constant learning rates, and prints the
accuracy on the tenth of the training images that is held out: the mean over the seeds.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from harness import data
from harness.core.recipe import Recipe
from harness.core.sweep import Precision
from harness.data import Dataset
from harness.data.dataset import Labels
from harness.models import Task
from harness.models.blocks import with_probabilities
from harness.models.mlp import Mlp
from harness.training.fit import scores
from harness.training.recipe import optimizer
from harness.training.trial import warm_up

BATCH = 100
RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def one_hot(labels: Labels) -> Labels:
    return np.eye(10, dtype=np.int64)[labels]


def plus_minus_one(labels: Labels) -> Labels:
    return 2 * one_hot(labels) - 1


def class_number(labels: Labels) -> Labels:
    return labels[:, np.newaxis]


def squared_hinge(targets: Any, answers: Any) -> Any:
    """As Courbariaux, Hubara et al. (2016) write it: the mean over classes."""
    from harness.models.keras import tf

    return tf.reduce_mean(
        tf.square(tf.nn.relu(1 - tf.cast(targets, tf.float32) * answers)), axis=-1
    )


def summed(targets: Any, answers: Any) -> Any:
    return answers.shape[-1] * squared_hinge(targets, answers)


def of_keras(targets: Any, answers: Any) -> Any:
    from harness.models.keras import keras

    return keras.losses.squared_hinge(targets, answers)


def cross_entropy(targets: Any, answers: Any) -> Any:
    from harness.models.keras import tf

    return tf.nn.softmax_cross_entropy_with_logits(targets, answers)


def unchanged(model: Any) -> Any:
    return model


def not_normalised(model: Any) -> Any:
    """Without the batch normalisation after the last layer: a score is a sum of as many signs as there are units."""
    from harness.models.keras import Model, layers

    *_, product, _, shaped = model.layers
    return Model(model.input, layers.Reshape(shaped.target_shape)(product.output))


def divided(model: Any) -> Any:
    """The same, by the square root of the units: sums of random signs then have a standard deviation of 1."""
    from harness.models.keras import Model

    bare = not_normalised(model)
    return Model(bare.input, bare.output / model.layers[-3].input_shape[-1] ** 0.5)


@dataclass(frozen=True)
class Setup:
    """What is told of a label, what an answer costs, and how the network ends."""

    name: str
    price: Callable[[Any, Any], Any] = squared_hinge
    targets: Callable[[Labels], Labels] = plus_minus_one
    end: Callable[[Any], Any] = unchanged
    recipe: Recipe = Recipe(epochs=1)  # noqa: RUF009  (frozen)


SGD = Recipe(epochs=1, optimizer="sgd", momentum=0.9)
SETUPS = (
    Setup("softmax cross-entropy", cross_entropy, targets=one_hot),
    Setup("squared hinge, as the recipe's"),
    Setup("summed over classes", summed),
    Setup("targets 0 and 1", targets=one_hot),
    Setup("Keras's, targets 0 to 9", of_keras, targets=class_number),
    Setup("over softmax probabilities", end=with_probabilities),
    Setup("scores not normalised", end=not_normalised),
    Setup("scores / sqrt(units)", end=divided),
    Setup("SGD, softmax cross-entropy", cross_entropy, targets=one_hot, recipe=SGD),
    Setup("SGD, squared hinge", recipe=SGD),
)


def main() -> None:
    asked = arguments()
    warm_up(os.cpu_count() or 1)
    dataset = data.load("fashion_mnist")
    print(f"binary MLP 3 x {asked.units}, {asked.epochs} epochs, seeds {asked.seeds}", flush=True)
    print(f"{'':32}" + "".join(f"{f'{rate:g}':>8}" for rate in RATES), flush=True)
    for setup in SETUPS:
        print(f"{setup.name:32}", end="", flush=True)
        for rate in RATES:
            found = mean(
                accuracy(
                    setup, rate, units=asked.units, epochs=asked.epochs, seed=seed, dataset=dataset
                )
                for seed in asked.seeds
            )
            print(f"{found:8.1%}", end="", flush=True)
        print(flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


def accuracy(
    setup: Setup, rate: float, units: int, epochs: int, seed: int, dataset: Dataset
) -> float:
    from harness.models.keras import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = setup.end(
        Mlp(3, units).training_model(
            Task(dataset.shape, dataset.classes, precision=Precision.BINARY)
        )
    )
    recipe = setup.recipe
    training, validation = dataset.held_out(recipe.validation)
    steps = len(training) // BATCH
    method = optimizer(recipe)
    method.learning_rate.assign(rate)
    model.compile(method, setup.price, jit_compile=True, steps_per_execution=steps)
    model.fit(training.images, setup.targets(training.labels), BATCH, epochs, verbose=0)
    return float(np.mean(scores(model, validation.images).argmax(axis=1) == validation.labels))


if __name__ == "__main__":
    main()
