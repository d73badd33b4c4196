"""An epoch of a binary MLP: as it trains here, as the 1x1 convolutions that it is deployed as, and its products alone.

    python -m benchmarks.train_mlp [--layers 3] [--units 512] [--steps 60] [--rounds 3]

Both networks start from the same weights and see the same batches. The yardsticks: Keras's own loop over the
convolutions, and the step's matrix products alone (forward, and backward for weights and inputs) in float32: in numpy,
and in XLA, which is the least that our step can take. Rounds alternate between them, and the median counts.
"""

import argparse
import os
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

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
    asked = arguments()
    warm_up(os.cpu_count() or 1)
    ways = {
        "dense + XLA, our loop": ours(asked),
        "1x1 convolutions, Keras": convolutions(asked),
        "products alone, numpy": products(asked),
        "products alone, XLA": products(asked, compiled=True),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(asked.rounds + 1):
        for name, epoch in ways.items():
            started = time.perf_counter()
            epoch()
            if number:  # the first round compiles
                times[name].append((time.perf_counter() - started) / asked.steps)
    show(asked, {name: median(seconds) for name, seconds in times.items()})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("layers", 3), ("units", 512), ("steps", 60), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def images(asked: argparse.Namespace) -> Split:
    random = np.random.default_rng(0)
    pixels = random.uniform(-1, 1, (asked.steps * BATCH, *SHAPE)).astype(np.float32)
    return Split(pixels, random.integers(0, CLASSES, len(pixels)))


def ours(asked: argparse.Namespace) -> Callable[[], object]:
    split = images(asked)
    recipe = Recipe(epochs=asked.rounds + 1, batch_size=BATCH, validation=0.0)
    sizes = {"layers": asked.layers, "units": asked.units}
    model = Mlp(**sizes).training_model(Task(SHAPE, CLASSES, precision=Precision.BINARY))
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


def convolutions(asked: argparse.Namespace) -> Callable[[], object]:
    from harness.models.keras import keras

    split, task = images(asked), Task(SHAPE, CLASSES, precision=Precision.BINARY)
    architecture = Mlp(asked.layers, asked.units)
    model = architecture.deployed_model(task, architecture.training_model(task))
    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return lambda: model.fit(split.images, split.labels, batch_size=BATCH, shuffle=False, verbose=0)


def products(asked: argparse.Namespace, *, compiled: bool = False) -> Callable[[], object]:
    from harness.models.keras import tf

    random = np.random.default_rng(0)
    sizes = [int(np.prod(SHAPE)), *[asked.units] * asked.layers, CLASSES]
    weights = [random.standard_normal(pair).astype(np.float32) for pair in pairwise(sizes)]
    batch = random.standard_normal((BATCH, sizes[0])).astype(np.float32)
    transposed = tf.transpose if compiled else np.transpose

    def step(pixels: Any, *kernels: Any) -> list[Any]:
        values = [pixels]
        for kernel in kernels:
            values.append(values[-1] @ kernel)
        gradient, found = values.pop(), []
        for kernel in reversed(kernels):
            found.append(transposed(values.pop()) @ gradient)
            gradient = gradient @ transposed(kernel)
        return [*found, gradient]

    given = [tf.constant(one) for one in (batch, *weights)] if compiled else [batch, *weights]
    run = tf.function(step, jit_compile=True) if compiled else step
    return lambda: [np.asarray(run(*given)[-1]) for _ in range(asked.steps)]


def show(asked: argparse.Namespace, steps: dict[str, float]) -> None:
    print(f"binary MLP {asked.layers} x {asked.units}, batch {BATCH}, {machine()}")
    for name, seconds in steps.items():
        epoch = f"{EPOCH_STEPS * seconds:6.1f} s an epoch of {EPOCH_STEPS} steps"
        print(f"{name:24} {1e3 * seconds:8.1f} ms a step, {epoch}")
    mine, keras, *alone = steps.values()
    numpy, xla = (f"{mine / products:.2f}" for products in alone)
    faster = f"{keras / mine:.1f} times faster than the convolutions"
    print(f"ours is {faster}, in {numpy} times numpy's time, {xla} times XLA's")


def machine() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
