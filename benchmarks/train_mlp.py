"""The training time of a binary MLP, beside its 1x1 convolutions and its matrix products alone.

    python -m benchmarks.train_mlp [--layers 3] [--units 512] [--steps 60] [--rounds 3]

The MLP trains as dense layers and is deployed as 1x1 convolutions.
Both networks start from the same weights and see the same batches.
One yardstick is Keras's own loop over the convolutions.
The others are the step's float32 matrix products: forward, and backward for weights and inputs.
They run in numpy and in XLA; XLA's time is a lower bound for our step.
Rounds alternate between the variants, and the median counts.
"""

import argparse
import os
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from benchmarks import parse_options
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.data import Dataset
from harness.data.dataset import Split
from harness.models import Task
from harness.models.mlp import Mlp
from harness.training.fit import Fit
from harness.training.trial import warm_up

SHAPE, CLASSES, BATCH = (28, 28, 1), 10, 100
EPOCH_STEPS = 600  # 60,000 images of Fashion-MNIST


def main() -> None:
    options = read_options()
    warm_up(os.cpu_count() or 1)
    variants = {
        "dense + XLA, our loop": harness_loop(options),
        "1x1 convolutions, Keras": convolutions(options),
        "products alone, numpy": products(options),
        "products alone, XLA": products(options, compiled=True),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(options.rounds + 1):
        for name, epoch in variants.items():
            started = time.perf_counter()
            epoch()
            if number:  # the first round compiles
                times[name].append((time.perf_counter() - started) / options.steps)
    print_times(options, {name: median(seconds) for name, seconds in times.items()})


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("layers", 3), ("units", 512), ("steps", 60), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parse_options(parser, layers=1, units=16, steps=2, rounds=1)


def images(options: argparse.Namespace) -> Split:
    random = np.random.default_rng(0)
    pixels = random.uniform(-1, 1, (options.steps * BATCH, *SHAPE)).astype(np.float32)
    return Split(pixels, random.integers(0, CLASSES, len(pixels)))


def harness_loop(options: argparse.Namespace) -> Callable[[], object]:
    split = images(options)
    recipe = Recipe(epochs=options.rounds + 1, batch_size=BATCH, validation=0.0)
    sizes = {"layers": options.layers, "units": options.units}
    model = Mlp(**sizes).build_training_model(Task(SHAPE, CLASSES, precision=Precision.BINARY))
    trial = Trial(
        "mlp",
        sizes,
        chosen=sizes,
        precision=Precision.BINARY,
        dataset="random",
        recipe=recipe,
        seed=0,
    )
    epochs = Fit(
        trial, model, dataset=Dataset("random", CLASSES, train=split, test=split)
    ).run_epochs()
    return lambda: next(epochs)


def convolutions(options: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import keras

    split, task = images(options), Task(SHAPE, CLASSES, precision=Precision.BINARY)
    architecture = Mlp(options.layers, options.units)
    model = architecture.build_deployed_model(task, architecture.build_training_model(task))
    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return lambda: model.fit(split.images, split.labels, batch_size=BATCH, shuffle=False, verbose=0)


def products(options: argparse.Namespace, *, compiled: bool = False) -> Callable[[], object]:
    from harness.models.keras import tf

    random = np.random.default_rng(0)
    sizes = [int(np.prod(SHAPE)), *[options.units] * options.layers, CLASSES]
    weights = [random.standard_normal(pair).astype(np.float32) for pair in pairwise(sizes)]
    batch = random.standard_normal((BATCH, sizes[0])).astype(np.float32)
    transposed = tf.transpose if compiled else np.transpose

    def step(pixels: Any, *kernels: Any) -> list[Any]:
        values = [pixels]
        for kernel in kernels:
            values.append(values[-1] @ kernel)
        gradient, kernel_gradients = values.pop(), []
        for kernel in reversed(kernels):
            kernel_gradients.append(transposed(values.pop()) @ gradient)
            gradient = gradient @ transposed(kernel)
        return [*kernel_gradients, gradient]

    arrays = [batch, *weights]
    inputs = [tf.constant(array) for array in arrays] if compiled else arrays
    run = tf.function(step, jit_compile=True) if compiled else step
    return lambda: [np.asarray(run(*inputs)[-1]) for _ in range(options.steps)]


def print_times(options: argparse.Namespace, steps: dict[str, float]) -> None:
    print(f"binary MLP {options.layers} x {options.units}, batch {BATCH}, {machine()}")
    for name, seconds in steps.items():
        epoch = f"{EPOCH_STEPS * seconds:6.1f} s an epoch of {EPOCH_STEPS} steps"
        print(f"{name:24} {1e3 * seconds:8.1f} ms a step, {epoch}")
    ours, keras, *products_alone = steps.values()
    numpy, xla = (f"{ours / seconds:.2f}" for seconds in products_alone)
    faster = f"{keras / ours:.1f} times faster than the convolutions"
    print(f"ours is {faster}, in {numpy} times numpy's time, {xla} times XLA's")


def machine() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
