"""The same binary MLP trained both ways: as dense layers with XLA, and as the 1x1 convolutions that are deployed.

    python -m benchmarks.train_mlp [--layers 3] [--units 512] [--steps 60] [--rounds 3]

Both start from the same weights and see the same batches; rounds alternate between them, and the median counts.
"""

import argparse
import os
import time
from statistics import median
from typing import Any

import numpy as np

from harness.core.sweep import Precision, Recipe
from harness.models import Task
from harness.models.mlp import Mlp
from harness.training.recipe import loss, optimizer
from harness.training.trial import warm_up

SHAPE, CLASSES, BATCH = (28, 28, 1), 10, 100
EPOCH_STEPS = 600  # 60,000 images of Fashion-MNIST


def main() -> None:
    asked = arguments()
    warm_up(os.cpu_count() or 1)
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (asked.steps * BATCH, *SHAPE)).astype(np.float32)
    labels = random.integers(0, CLASSES, len(images))
    ways = networks(asked.layers, asked.units)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(asked.rounds + 1):
        for name, model in ways.items():
            started = time.perf_counter()
            model.fit(images, labels, batch_size=BATCH, shuffle=False, verbose=0)
            if number:  # the first round compiles
                times[name].append((time.perf_counter() - started) / asked.steps)
    show(asked, times)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 3), ("units", 512), ("steps", 60), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def networks(layers: int, units: int) -> dict[str, Any]:
    """Compiled, with the same weights."""
    architecture = Mlp(layers=layers, units=units)
    task = Task(SHAPE, CLASSES, Precision.BINARY, "glorot_uniform")
    dense = architecture.training_model(task)
    pointwise = architecture.deployed_model(task, dense)
    recipe = Recipe(epochs=1)
    dense.compile(optimizer(recipe, 1), loss(recipe), jit_compile=True)
    pointwise.compile(optimizer(recipe, 1), loss(recipe))
    return {"dense + XLA": dense, "1x1 convolution": pointwise}


def show(asked: argparse.Namespace, times: dict[str, list[float]]) -> None:
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"binary MLP {asked.layers} x {asked.units}, batch {BATCH}, {machine}")
    for name, seconds in times.items():
        middle = median(seconds)
        epoch = f"{EPOCH_STEPS * middle:6.1f} s an epoch of {EPOCH_STEPS} steps"
        print(f"{name:16} {1e3 * middle:8.1f} ms a step, {epoch}")
    dense, pointwise = (median(seconds) for seconds in times.values())
    print(f"dense + XLA is {pointwise / dense:.1f} times faster")


if __name__ == "__main__":
    main()
