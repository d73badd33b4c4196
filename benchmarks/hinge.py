"""Set-ups that show when a squared hinge loss learns: each is one step away from the recipe's.

    python -m benchmarks.hinge [--units 256] [--epochs 2] [--seeds 0] [--dataset fashion_mnist]
                               [--rates 0.0001 0.001 0.01 0.1] [--no-jit]

Each set-up trains a binary MLP of three layers, with batches of 100 images.
The table shows the accuracy at each constant learning rate, as the mean over the seeds.
It is measured on the tenth of the training images that is held out.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from benchmarks import parse_options
from harness import data
from harness.core.recipe import Recipe
from harness.core.sweep import Precision
from harness.data import Dataset
from harness.data.dataset import Labels
from harness.models import Task
from harness.models.blocks import add_softmax
from harness.models.mlp import Mlp
from harness.training.recipe import build_optimizer
from harness.training.trial import warm_up

BATCH = 100


def one_hot(labels: Labels) -> Labels:
    return np.eye(10, dtype=np.int64)[labels]


def plus_minus_one(labels: Labels) -> Labels:
    return 2 * one_hot(labels) - 1


def class_number(labels: Labels) -> Labels:
    return labels[:, np.newaxis]


def squared_hinge(targets: Any, outputs: Any) -> Any:
    """Return the mean over classes, as Courbariaux, Hubara et al. (2016) write it."""
    from harness.models.keras import tf

    return tf.reduce_mean(
        tf.square(tf.nn.relu(1 - tf.cast(targets, tf.float32) * outputs)), axis=-1
    )


def sum_of_squared_hinges(targets: Any, outputs: Any) -> Any:
    return outputs.shape[-1] * squared_hinge(targets, outputs)


def squared_hinge_of_keras(targets: Any, outputs: Any) -> Any:
    from harness.models.keras import keras

    return keras.losses.squared_hinge(targets, outputs)


def cross_entropy(targets: Any, outputs: Any) -> Any:
    from harness.models.keras import tf

    return tf.nn.softmax_cross_entropy_with_logits(targets, outputs)


def keep_scores(model: Any) -> Any:
    return model


def remove_last_normalisation(model: Any) -> Any:
    """Remove the last batch normalisation: a score is then a sum of `units` signs."""
    from harness.models.keras import Model, layers

    *_, product, _, reshape = model.layers
    return Model(model.input, layers.Reshape(reshape.target_shape)(product.output))


def divide_scores(model: Any) -> Any:
    """Divide unnormalised scores by the square root of `units`.

    Sums of random signs then have a standard deviation of 1.
    """
    from harness.models.keras import Model

    unnormalised = remove_last_normalisation(model)
    return Model(unnormalised.input, unnormalised.output / model.layers[-3].input_shape[-1] ** 0.5)


@dataclass(frozen=True)
class Setup:
    """A loss, the targets that it compares outputs with, and the end of the network."""

    name: str
    loss: Callable[[Any, Any], Any] = squared_hinge
    targets: Callable[[Labels], Labels] = plus_minus_one
    finish: Callable[[Any], Any] = keep_scores
    recipe: Recipe = Recipe(epochs=1)  # noqa: RUF009  (frozen)


SGD = Recipe(epochs=1, optimizer="sgd", momentum=0.9)
SETUPS = (
    Setup("softmax cross-entropy", cross_entropy, targets=one_hot),
    Setup("squared hinge, as in the recipe"),
    Setup("summed over classes", sum_of_squared_hinges),
    Setup("targets 0 and 1", targets=one_hot),
    Setup("Keras's, targets 0 to 9", squared_hinge_of_keras, targets=class_number),
    Setup("over softmax probabilities", finish=add_softmax),
    Setup("scores not normalised", finish=remove_last_normalisation),
    Setup("scores / sqrt(units)", finish=divide_scores),
    Setup("SGD, softmax cross-entropy", cross_entropy, targets=one_hot, recipe=SGD),
    Setup("SGD, squared hinge", recipe=SGD),
)


def main() -> None:
    options = read_options()
    warm_up(os.cpu_count() or 1)
    dataset = data.load(options.dataset)
    print(
        f"binary MLP 3 x {options.units}, {options.epochs} epochs, seeds {options.seeds}",
        flush=True,
    )
    print(f"{'':32}" + "".join(f"{f'{rate:g}':>8}" for rate in options.rates), flush=True)
    for setup in SETUPS:
        print(f"{setup.name:32}", end="", flush=True)
        for rate in options.rates:
            accuracy = mean(
                train(
                    setup,
                    rate,
                    units=options.units,
                    epochs=options.epochs,
                    seed=seed,
                    dataset=dataset,
                    jit=options.jit,
                )
                for seed in options.seeds
            )
            print(f"{accuracy:8.1%}", end="", flush=True)
        print(flush=True)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2, 1e-1])
    parser.add_argument("--jit", action=argparse.BooleanOptionalAction, default=True)
    return parse_options(parser, dataset="digits", units=8, epochs=1, rates=[1e-3], jit=False)


def train(
    setup: Setup,
    rate: float,
    *,
    units: int,
    epochs: int,
    seed: int,
    dataset: Dataset,
    jit: bool,
) -> float:
    """Train one network and return its accuracy on the validation images.

    Compiling it with XLA (`jit`) takes seconds, and makes long trainings faster.
    """
    from harness.models.keras import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = setup.finish(
        Mlp(3, units).build_training_model(
            Task(dataset.shape, dataset.classes, precision=Precision.BINARY)
        )
    )
    recipe = setup.recipe
    training, validation = dataset.split_validation(recipe.validation)
    steps = len(training) // BATCH
    keras_optimizer = build_optimizer(recipe)
    keras_optimizer.learning_rate.assign(rate)
    model.compile(keras_optimizer, setup.loss, jit_compile=jit, steps_per_execution=steps)
    targets = setup.targets(training.labels)
    model.fit(training.images, targets, batch_size=BATCH, epochs=epochs, verbose=0)
    outputs = np.asarray(model(validation.images, training=False))
    return float(np.mean(outputs.argmax(axis=1) == validation.labels))


if __name__ == "__main__":
    main()
