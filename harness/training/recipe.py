"""A recipe's words → optimizers, schedules, losses and what is done to images."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.recipe import Bop, Distillation, Recipe, Schedule

Loss = Callable[[Any, Any, Any], Any]


def optimizer(recipe: Recipe) -> Any:
    """With `build`, `apply_gradients`, `variables` and a variable `learning_rate`, as Keras's have."""
    from harness.models.keras import keras

    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=recipe.momentum)
    adam = keras.optimizers.Adam()
    return _BopBesides(adam, recipe.bop) if recipe.optimizer == "bop" else adam


class _BopBesides:
    """Larq's Bop for binary kernels, `other` for all else.

    Not Larq's CaseOptimizer: it takes Keras's legacy optimizers alone, which have no variables before their first step,
    where a snapshot is restored.
    """

    def __init__(self, other: Any, bop: Bop) -> None:
        from harness.models.keras import larq

        self._other, self._bop = other, larq.optimizers.Bop(bop.threshold, bop.gamma)

    @property
    def learning_rate(self) -> Any:
        return self._other.learning_rate

    @property
    def variables(self) -> list[Any]:
        return [*self._bop.variables(), *self._other.variables]

    def build(self, variables: Sequence[Any]) -> None:
        self._bop._create_all_weights(
            [one for one in variables if self._bop.is_binary_variable(one)]
        )
        self._other.build([one for one in variables if not self._bop.is_binary_variable(one)])

    def apply_gradients(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        binary: list[tuple[Any, Any]] = []
        rest: list[tuple[Any, Any]] = []
        for gradient, variable in pairs:
            (binary if self._bop.is_binary_variable(variable) else rest).append(
                (gradient, variable)
            )
        self._bop.apply_gradients(binary)
        self._other.apply_gradients(rest)


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], NDArray[np.float32]]:
    """Those of an epoch's steps (steps_per_epoch,), by its number, from 1."""
    rate = recipe.learning_rate
    if not isinstance(rate, Schedule):
        return lambda _epoch: np.full(steps_per_epoch, rate, np.float32)
    over_steps = _schedule(rate, recipe.epochs, steps_per_epoch=steps_per_epoch)

    def of_epoch(number: int) -> NDArray[np.float32]:
        first = (number - 1) * steps_per_epoch
        return np.asarray(
            over_steps(np.arange(first, first + steps_per_epoch, dtype=np.float32)), np.float32
        )

    return of_epoch


def _schedule(rate: Schedule, epochs: int, steps_per_epoch: int) -> Any:
    """Keras's, over steps."""
    warmup = round(rate.warmup_epochs * steps_per_epoch)
    falling = _falling(rate, steps_per_epoch, steps=max(1, epochs * steps_per_epoch - warmup))
    return _warmed_up(rate.initial, warmup, then=falling) if warmup else falling


def _falling(rate: Schedule, steps_per_epoch: int, steps: int) -> Any:
    """From `initial`, for so many `steps`."""
    from harness.models.keras import keras

    schedules = keras.optimizers.schedules
    if rate.schedule == "cosine":
        return schedules.CosineDecay(rate.initial, steps)
    if rate.schedule == "linear":
        return schedules.PolynomialDecay(rate.initial, steps, end_learning_rate=0.0)
    decay_steps = max(1, round(rate.decay_epochs * steps_per_epoch))
    return schedules.ExponentialDecay(
        rate.initial, decay_steps, rate.decay_rate, staircase=rate.schedule == "step"
    )


def _warmed_up(top: float, steps: int, then: Any) -> Any:
    """Rises evenly from 0 to `top` in so many `steps`, as Keras's CosineDecay alone can; `then` starts after them."""
    from harness.models.keras import keras, tf

    class WarmedUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras ships no types
        def __call__(self, step: Any) -> Any:
            done = tf.cast(step, tf.float32)
            return tf.where(done < steps, top * done / steps, then(done - steps))

    return WarmedUp()


def loss(recipe: Recipe, *, distilled: bool) -> Loss:
    """Labels (batch,), scores (batch, classes), the teacher's scores (batch, classes) → what each image costs (batch,).

    The teacher is asked where `distilled`.
    """
    hard = {"softmax_cross_entropy": _cross_entropy, "squared_hinge": _squared_hinge}[recipe.loss]
    if not distilled or recipe.distillation is None:
        return lambda labels, answers, _taught: hard(labels, answers)
    wanted, soft = recipe.distillation, _softened(recipe.distillation)

    def price(labels: Any, answers: Any, taught: Any) -> Any:
        return (1 - wanted.weight) * hard(labels, answers) + wanted.weight * soft(answers, taught)

    return price


def _cross_entropy(labels: Any, answers: Any) -> Any:
    from harness.models.keras import tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, answers)


def _squared_hinge(labels: Any, answers: Any) -> Any:
    """The L2-SVM loss of Tang (2013), one class against all: max(0, 1 - t * score) squared, t = ±1; the classes' mean.

    Courbariaux, Hubara et al. (2016) use it over batch-normalised scores (github.com/MatthieuCourbariaux/BinaryNet).
    """
    from harness.models.keras import tf

    targets = 2 * tf.one_hot(labels, answers.shape[-1]) - 1
    return tf.reduce_mean(tf.square(tf.nn.relu(1 - targets * answers)), axis=-1)


def _softened(distillation: Distillation) -> Callable[[Any, Any], Any]:
    """The cross-entropy of softened answers, times the temperature squared, so that gradients keep their size."""
    from harness.models.keras import tf

    heat = distillation.temperature

    def soft(answers: Any, taught: Any) -> Any:
        return heat**2 * tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(taught / heat), answers / heat
        )

    return soft


def augmented(recipe: Recipe, images: Any, seed: Any) -> Any:
    """A batch (n, height, width, channels) as it is trained on; `seed` (3,) settles what chance does to it."""
    return _flipped_and_shifted(images, seed) if recipe.augmentation == "flip_and_shift" else images


def _flipped_and_shifted(images: Any, seed: Any) -> Any:
    """Each image by itself: mirrored or not, then moved by up to an eighth of its side; a reflection fills the gap."""
    from harness.models.keras import tf

    flip, down, across = tf.unstack(tf.random.split(tf.random.fold_in(seed[:2], seed[2]), 3))
    flipped = tf.image.stateless_random_flip_left_right(images, flip)
    return _shifted(_shifted(flipped, 1, seed=down), 2, seed=across)


def _shifted(images: Any, axis: int, seed: Any) -> Any:
    from harness.models.keras import tf

    count, side = tf.shape(images)[0], images.shape[axis]
    most = side // 8
    padded = tf.pad(
        images, [[most, most] if other == axis else [0, 0] for other in range(4)], "REFLECT"
    )
    starts = tf.random.stateless_uniform([count, 1], seed, 0, 2 * most + 1, tf.int32)
    return tf.gather(padded, starts + tf.range(side), axis=axis, batch_dims=1)
