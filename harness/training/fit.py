"""Fit one network: steps compiled by XLA, each epoch told as it ends."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Epoch, Recipe
from harness.data import Dataset
from harness.data.dataset import Split
from harness.training.recipe import loss, optimizer

OnEpoch = Callable[[Epoch], None]
_VALIDATION_BATCH = 500


def fit(model: Any, dataset: Dataset, recipe: Recipe, seed: int, on_epoch: OnEpoch) -> tuple[Epoch, ...]:
    """Trains `model` in place and returns its curve. Raises TrialFailed where the loss stops being a number.

    Each epoch sees the images in a new order; those that fill no whole batch are left out of it, so that one
    compiled step serves all (a batch of another size would be compiled again).
    """
    training, validation = dataset.held_out(recipe.validation)
    batch = min(recipe.batch_size, len(training))
    model.compile(optimizer(recipe, len(training) // batch), loss(recipe), metrics=["accuracy"], jit_compile=True)
    curve: list[Epoch] = []
    model.fit(
        _batches(training, batch, seed),
        epochs=recipe.epochs,
        validation_data=(validation.images, validation.labels) if len(validation) else None,
        validation_batch_size=_VALIDATION_BATCH,
        callbacks=[_teller(curve, on_epoch)],
        verbose=0,
    )
    return tuple(curve)


def _batches(training: Split, size: int, seed: int) -> Any:
    """Whole batches; only their indices are shuffled and sliced, each batch is gathered at once."""
    from harness.models.keras import tf

    images, labels = tf.constant(training.images), tf.constant(training.labels)
    indices = tf.data.Dataset.range(len(training)).shuffle(len(training), seed=seed).batch(size, drop_remainder=True)
    return indices.map(lambda chosen: (tf.gather(images, chosen), tf.gather(labels, chosen))).prefetch(2)


def _teller(curve: list[Epoch], on_epoch: OnEpoch) -> Any:
    from harness.models.keras import keras

    started = time.perf_counter()

    def tell(index: int, logs: Mapping[str, float]) -> None:
        nonlocal started
        now = time.perf_counter()
        curve.append(_epoch(index + 1, logs, now - started))
        started = now
        on_epoch(curve[-1])

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)


def _epoch(number: int, logs: Mapping[str, float], seconds: float) -> Epoch:
    if not math.isfinite(logs["loss"]):
        raise TrialFailed(
            Reason.DIVERGED, f"The loss became {logs['loss']} in epoch {number}; lower train.learning_rate."
        )
    return Epoch(number, logs["loss"], logs["accuracy"], logs.get("val_loss"), logs.get("val_accuracy"), seconds)
