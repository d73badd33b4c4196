"""Optimizers, learning rates, losses and augmentation, built as a recipe describes them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.recipe import Bop, Distillation, Recipe, Schedule

Loss = Callable[[Any, Any, Any], Any]


def build_optimizer(recipe: Recipe) -> Any:
    """Return an optimizer with the interface of Keras's own.

    It has `build`, `apply_gradients`, `variables` and a variable `learning_rate`.
    """
    from harness.models.keras import keras

    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=recipe.momentum)
    adam = keras.optimizers.Adam()
    return _BopWithFallback(recipe.bop, adam) if recipe.optimizer == "bop" else adam


class _BopWithFallback:
    """Larq's Bop for binary kernels, and another optimizer for all other variables.

    Larq's CaseOptimizer does not serve: it takes Keras's legacy optimizers only. Those have no
    variables before their first step, which is when a snapshot is restored.
    """

    def __init__(self, bop: Bop, fallback: Any) -> None:
        from harness.models.keras import larq

        self._bop = larq.optimizers.Bop(bop.threshold, bop.gamma)
        self._fallback = fallback

    @property
    def learning_rate(self) -> Any:
        return self._fallback.learning_rate

    @property
    def variables(self) -> list[Any]:
        return [*self._bop.variables(), *self._fallback.variables]

    def build(self, variables: Sequence[Any]) -> None:
        is_binary = self._bop.is_binary_variable
        self._bop._create_all_weights([variable for variable in variables if is_binary(variable)])
        self._fallback.build([variable for variable in variables if not is_binary(variable)])

    def apply_gradients(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        binary_pairs: list[tuple[Any, Any]] = []
        other_pairs: list[tuple[Any, Any]] = []
        for gradient, variable in pairs:
            if self._bop.is_binary_variable(variable):
                binary_pairs.append((gradient, variable))
            else:
                other_pairs.append((gradient, variable))
        self._bop.apply_gradients(binary_pairs)
        self._fallback.apply_gradients(other_pairs)


def plan_learning_rates(
    recipe: Recipe, steps_per_epoch: int
) -> Callable[[int], NDArray[np.float32]]:
    """Return a function from an epoch's number, from 1, to its rates (steps_per_epoch,)."""
    rate = recipe.learning_rate
    if not isinstance(rate, Schedule):
        return lambda _epoch: np.full(steps_per_epoch, rate, np.float32)
    schedule = _build_schedule(rate, recipe.epochs, steps_per_epoch=steps_per_epoch)

    def rates_of(epoch: int) -> NDArray[np.float32]:
        first = (epoch - 1) * steps_per_epoch
        steps = np.arange(first, first + steps_per_epoch, dtype=np.float32)
        return np.asarray(schedule(steps), np.float32)

    return rates_of


def _build_schedule(rate: Schedule, epochs: int, steps_per_epoch: int) -> Any:
    """Return a Keras schedule over all steps of the training."""
    warmup_steps = round(rate.warmup_epochs * steps_per_epoch)
    decay_steps = max(1, epochs * steps_per_epoch - warmup_steps)
    decay = _build_decay(rate, steps_per_epoch, total_steps=decay_steps)
    return _add_warmup(decay, warmup_steps, peak=rate.initial) if warmup_steps else decay


def _build_decay(rate: Schedule, steps_per_epoch: int, total_steps: int) -> Any:
    """Return a schedule that falls from `rate.initial` over `total_steps`."""
    from harness.models.keras import keras

    schedules = keras.optimizers.schedules
    if rate.schedule == "cosine":
        return schedules.CosineDecay(rate.initial, total_steps)
    if rate.schedule == "linear":
        return schedules.PolynomialDecay(rate.initial, total_steps, end_learning_rate=0.0)
    decay_steps = max(1, round(rate.decay_epochs * steps_per_epoch))
    return schedules.ExponentialDecay(
        rate.initial, decay_steps, rate.decay_rate, staircase=rate.schedule == "step"
    )


def _add_warmup(decay: Any, warmup_steps: int, peak: float) -> Any:
    """Return a schedule that rises evenly from 0 to `peak`, and then follows `decay`.

    Of Keras's schedules, CosineDecay alone has a warm-up.
    """
    from harness.models.keras import keras, tf

    class WarmedUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # untyped
        def __call__(self, step: Any) -> Any:
            step = tf.cast(step, tf.float32)
            rising = peak * step / warmup_steps
            return tf.where(step < warmup_steps, rising, decay(step - warmup_steps))

    return WarmedUp()


def build_loss(recipe: Recipe, *, distilled: bool) -> Loss:
    """Return the loss of each image (batch,).

    It takes labels (batch,), scores (batch, classes) and the teacher's scores (batch, classes),
    which it uses only if `distilled`.
    """
    losses = {"softmax_cross_entropy": _cross_entropy, "squared_hinge": _squared_hinge}
    label_loss = losses[recipe.loss]
    if not distilled or recipe.distillation is None:
        return lambda labels, scores, _teacher_scores: label_loss(labels, scores)
    weight = recipe.distillation.weight
    teacher_loss = _build_teacher_loss(recipe.distillation)

    def weighted_loss(labels: Any, scores: Any, teacher_scores: Any) -> Any:
        from_labels = label_loss(labels, scores)
        from_teacher = teacher_loss(scores, teacher_scores)
        return (1 - weight) * from_labels + weight * from_teacher

    return weighted_loss


def _cross_entropy(labels: Any, scores: Any) -> Any:
    from harness.models.keras import tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)


def _squared_hinge(labels: Any, scores: Any) -> Any:
    """Compute the L2-SVM loss of Tang (2013), one class against all.

    It is max(0, 1 - t * score) squared, with t = ±1, averaged over the classes. Courbariaux, Hubara
    et al. (2016) use it over batch-normalised scores (github.com/MatthieuCourbariaux/BinaryNet).
    """
    from harness.models.keras import tf

    targets = 2 * tf.one_hot(labels, scores.shape[-1]) - 1
    return tf.reduce_mean(tf.square(tf.nn.relu(1 - targets * scores)), axis=-1)


def _build_teacher_loss(distillation: Distillation) -> Callable[[Any, Any], Any]:
    """Return the cross-entropy of scores with the teacher's, both softened by the temperature.

    It is multiplied by the temperature squared, so that gradients keep their size.
    """
    from harness.models.keras import tf

    temperature = distillation.temperature

    def teacher_loss(scores: Any, teacher_scores: Any) -> Any:
        targets = tf.nn.softmax(teacher_scores / temperature)
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(targets, scores / temperature)
        return temperature**2 * cross_entropy

    return teacher_loss


def augment(recipe: Recipe, images: Any, seed: Any) -> Any:
    """Return a batch (n, height, width, channels) as the recipe augments it.

    Chance depends on `seed` (3,) alone.
    """
    return _flip_and_shift(images, seed) if recipe.augmentation == "flip_and_shift" else images


def _flip_and_shift(images: Any, seed: Any) -> Any:
    """Mirror about half of the images, and shift each by up to an eighth of its sides."""
    from harness.models.keras import tf

    batch_seed = tf.random.fold_in(seed[:2], seed[2])
    flip_seed, down_seed, across_seed = tf.unstack(tf.random.split(batch_seed, 3))
    flipped = tf.image.stateless_random_flip_left_right(images, flip_seed)
    shifted_down = _shift(flipped, axis=1, seed=down_seed)
    return _shift(shifted_down, axis=2, seed=across_seed)


def _shift(images: Any, axis: int, seed: Any) -> Any:
    """Shift each image along the axis; a reflection fills the gap."""
    from harness.models.keras import tf

    count, side = tf.shape(images)[0], images.shape[axis]
    limit = side // 8
    paddings = [[0, 0], [0, 0], [0, 0], [0, 0]]
    paddings[axis] = [limit, limit]
    padded = tf.pad(images, paddings, "REFLECT")
    starts = tf.random.stateless_uniform(
        [count, 1], seed, minval=0, maxval=2 * limit + 1, dtype=tf.int32
    )
    indices = starts + tf.range(side)
    return tf.gather(padded, indices, axis=axis, batch_dims=1)
