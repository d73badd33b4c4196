"""The parts of each architecture's training step, beside the float network in Keras's own loop.

    python -m benchmarks.training_steps [NAME ...] [--steps 20] [--rounds 3] [--batch 100]

The images are random, of Fashion-MNIST's size; architectures have their default parameters.
`input` only gathers a batch from the images, and `forward` is the forward pass.
`gradient` adds the backward pass, and `step` is everything with the optimizer.
Keras's column is `model.fit` with its defaults. Rounds alternate, and the median counts.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks import parse_options
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
    parser.add_argument("names", nargs="*", help="architectures to measure (default: all)")
    for name, default in (("steps", 20), ("rounds", 3), ("batch", 100), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parse_options(parser, names=["mlp"], steps=2, rounds=1)
    warm_up(options.threads)
    print(f"ms a step of batch {options.batch}, {options.threads} threads, {machine()}")
    print(f"{'':14}", *(f"{column:>13}" for column in (*COLUMNS, "binary/Keras", "compiled in")))
    for name in options.names or ARCHITECTURES:
        measure(name, options)


def measure(name: str, options: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    pixels = random.uniform(-1, 1, (options.steps * options.batch, *SHAPE)).astype(np.float32)
    split = Split(pixels, random.integers(0, CLASSES, len(pixels)))
    binary = network(name, Precision.BINARY)
    started = time.perf_counter()
    step = harness_step(name, Precision.BINARY, split=split, options=options)
    step()
    compile_s = time.perf_counter() - started
    variants = (
        batches(split, options),
        forward(binary, split, options=options),
        gradient(binary, split, options=options),
        step,
        harness_step(name, Precision.FLOAT32, split=split, options=options),
        keras_loop(network(name, Precision.FLOAT32), split, options=options),
    )
    times: list[list[float]] = [[] for _ in variants]
    for number in range(options.rounds + 1):
        for run, timings in zip(variants, times, strict=True):
            started = time.perf_counter()
            run()
            if number:  # the first round compiles
                timings.append(1e3 * (time.perf_counter() - started) / options.steps)
    medians = [median(timings) for timings in times]
    ratio = medians[COLUMNS.index("step")] / medians[-1]
    print(
        f"{name:14}",
        *(f"{milliseconds:13.2f}" for milliseconds in medians),
        f"{ratio:13.2f}",
        f"{compile_s:11.1f} s",
        flush=True,
    )


def network(name: str, precision: Precision) -> Any:
    return ARCHITECTURES[name]().build_training_model(Task(SHAPE, CLASSES, precision=precision))


def harness_step(
    name: str, precision: Precision, split: Split, options: argparse.Namespace
) -> Callable[[], object]:
    recipe = Recipe(epochs=options.rounds + 2, batch_size=options.batch, validation=0.0)
    trial = Trial(name, {}, chosen={}, precision=precision, dataset="random", recipe=recipe, seed=0)
    epochs = Fit(
        trial, network(name, precision), dataset=Dataset("random", CLASSES, train=split, test=split)
    ).run_epochs()
    return lambda: next(epochs)


def batches(split: Split, options: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    images = tf.constant(split.images)
    order = np.random.default_rng(0).permutation(len(split)).reshape(-1, options.batch)

    @tf.function  # type: ignore[untyped-decorator]
    def gather(order: Any) -> Any:
        total = tf.zeros(())
        for number in tf.range(tf.shape(order)[0]):
            total += tf.reduce_sum(tf.gather(images, order[number]))
        return total

    return lambda: gather(tf.constant(order)).numpy()


def forward(model: Any, split: Split, options: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    batch = tf.constant(split.images[: options.batch])
    forward_pass = tf.function(
        lambda images: model(images, training=True), jit_compile=suits_xla(model)
    )
    return lambda: [forward_pass(batch).numpy() for _ in range(options.steps)]


def gradient(model: Any, split: Split, options: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import tf

    batch = tf.constant(split.images[: options.batch])

    @tf.function(jit_compile=suits_xla(model))  # type: ignore[untyped-decorator]
    def compute_gradient(images: Any) -> Any:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(images, training=True))
        gradients = tape.gradient(total, model.trainable_variables)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    return lambda: [compute_gradient(batch).numpy() for _ in range(options.steps)]


def keras_loop(model: Any, split: Split, options: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import keras

    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return lambda: model.fit(
        split.images, split.labels, batch_size=options.batch, shuffle=False, verbose=0
    )


if __name__ == "__main__":
    main()
