"""A training step of each architecture and where its time goes, beside the same float network in Keras's own loop.

    python -m benchmarks.training_steps [NAME ...] [--steps 20] [--rounds 3] [--batch 100]

Random images of Fashion-MNIST's size; default parameters. `input` is a batch taken out of the images alone, `forward`
the network's answer, `gradient` that and the way back, `step` all of it with the optimizer. Keras's is as `model.fit`
does it by default. Rounds alternate, and the median counts.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.train_mlp import machine
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.data import Dataset
from harness.data.dataset import Split
from harness.models import ARCHITECTURES, Task
from harness.training.compiled import suits_xla
from harness.training.fit import Fit
from harness.training.trial import warm_up

SHAPE, CLASSES = (28, 28, 1), 10
COLUMNS = ("input", "forward", "gradient", "step", "float step", "Keras, float")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="architectures; without any, all")
    for name, default in (("steps", 20), ("rounds", 3), ("batch", 100), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    warm_up(asked.threads)
    print(f"ms a step of batch {asked.batch}, {asked.threads} threads, {machine()}")
    print(f"{'':14}", *(f"{column:>13}" for column in (*COLUMNS, "binary/Keras", "compiled in")))
    for name in asked.names or ARCHITECTURES:
        measure(name, asked)


def measure(name: str, asked: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    pixels = random.uniform(-1, 1, (asked.steps * asked.batch, *SHAPE)).astype(np.float32)
    split = Split(pixels, random.integers(0, CLASSES, len(pixels)))
    binary = network(name, Precision.BINARY)
    started = time.perf_counter()
    step = ours(name, Precision.BINARY, split=split, asked=asked)
    step()
    compiled = time.perf_counter() - started
    ways = (
        batches(split, asked),
        forward(binary, split, asked=asked),
        gradient(binary, split, asked=asked),
        step,
        ours(name, Precision.FLOAT32, split=split, asked=asked),
        keras_loop(network(name, Precision.FLOAT32), split, asked=asked),
    )
    times: list[list[float]] = [[] for _ in ways]
    for number in range(asked.rounds + 1):
        for way, taken in zip(ways, times, strict=True):
            begun = time.perf_counter()
            way()
            if number:  # the first round compiles
                taken.append(1e3 * (time.perf_counter() - begun) / asked.steps)
    middles = [median(taken) for taken in times]
    ratio = middles[COLUMNS.index("step")] / middles[-1]
    print(
        f"{name:14}",
        *(f"{middle:13.2f}" for middle in middles),
        f"{ratio:13.2f}",
        f"{compiled:11.1f} s",
        flush=True,
    )


def network(name: str, precision: Precision) -> Any:
    return ARCHITECTURES[name]().training_model(Task(SHAPE, CLASSES, precision=precision))


def ours(
    name: str, precision: Precision, split: Split, asked: argparse.Namespace
) -> Callable[[], object]:
    recipe = Recipe(epochs=asked.rounds + 2, batch_size=asked.batch, validation=0.0)
    trial = Trial(name, {}, chosen={}, precision=precision, dataset="random", recipe=recipe, seed=0)
    epochs = Fit(
        trial, network(name, precision), dataset=Dataset("random", CLASSES, train=split, test=split)
    ).run_epochs()
    return lambda: next(epochs)


def batches(split: Split, asked: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    images = tf.constant(split.images)
    order = np.random.default_rng(0).permutation(len(split)).reshape(-1, asked.batch)

    @tf.function  # type: ignore[untyped-decorator]
    def taken(order: Any) -> Any:
        total = tf.zeros(())
        for number in tf.range(tf.shape(order)[0]):
            total += tf.reduce_sum(tf.gather(images, order[number]))
        return total

    return lambda: taken(tf.constant(order)).numpy()


def forward(model: Any, split: Split, asked: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    batch = tf.constant(split.images[: asked.batch])
    answer = tf.function(lambda images: model(images, training=True), jit_compile=suits_xla(model))
    return lambda: [answer(batch).numpy() for _ in range(asked.steps)]


def gradient(model: Any, split: Split, asked: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    batch = tf.constant(split.images[: asked.batch])

    @tf.function(jit_compile=suits_xla(model))  # type: ignore[untyped-decorator]
    def slope(images: Any) -> Any:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(images, training=True))
        return tf.add_n(
            [tf.reduce_sum(one) for one in tape.gradient(total, model.trainable_variables)]
        )

    return lambda: [slope(batch).numpy() for _ in range(asked.steps)]


def keras_loop(model: Any, split: Split, asked: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import keras

    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return lambda: model.fit(
        split.images, split.labels, batch_size=asked.batch, shuffle=False, verbose=0
    )


if __name__ == "__main__":
    main()
