"""A recipe's words → Keras's optimizers, schedules and losses."""

from typing import Any

from harness.core.sweep import Recipe, Schedule


def optimizer(recipe: Recipe, steps_per_epoch: int) -> Any:
    from harness.models.keras import keras

    table = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    return table[recipe.optimizer](_learning_rate(recipe, steps_per_epoch))


def _learning_rate(recipe: Recipe, steps_per_epoch: int) -> Any:
    rate = recipe.learning_rate
    if not isinstance(rate, Schedule):
        return rate
    from harness.models.keras import keras

    if rate.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate.initial, steps_per_epoch * recipe.epochs)
    return keras.optimizers.schedules.ExponentialDecay(
        rate.initial, max(1, round(steps_per_epoch * rate.decay_epochs)), rate.decay_rate
    )


def loss(recipe: Recipe) -> Any:
    """Over probabilities (batch, classes) and labels (batch,)."""
    from harness.models.keras import keras

    table = {"softmax_cross_entropy": keras.losses.SparseCategoricalCrossentropy}
    return table[recipe.loss]()
