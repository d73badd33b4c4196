"""Networks whose training epoch XLA compiles once, for all trials of the same form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from harness.core.ids import content_id, to_plain
from harness.core.recipe import Recipe
from harness.core.sweep import Trial
from harness.training.recipe import augment, build_loss, build_optimizer

_CACHE_SIZE = 2  # a student and its teacher


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network, its optimizer, and the function that trains it for an epoch.

    `run_epoch` takes images (n, height, width, channels), labels (n,) and a teacher's scores
    (n, classes). Then it takes the batches' image indices (steps, batch), learning rates (steps,)
    and a random seed (2,). It returns the mean loss and accuracy (2,). `initial_state` holds the
    optimizer's variables before its first step.
    """

    model: Any
    optimizer: Any
    run_epoch: Any
    initial_state: tuple[NDArray[Any], ...]

    @property
    def variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def reset(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set these weights, and everything else as if the network were newly built."""
        self.model.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, self.initial_state, strict=True):
            variable.assign(value)


COMPILED_NETWORKS: dict[str, CompiledNetwork] = {}
"""The networks of this process by form, the oldest first."""


def get_compiled(trial: Trial, model: Any, *, distilled: bool) -> CompiledNetwork:
    """Return the compiled network of the trial's form, with the weights of `model`.

    The first trial of a form compiles its own model.
    """
    form, weights = _form_of(trial, model), model.get_weights()
    if form not in COMPILED_NETWORKS:
        while len(COMPILED_NETWORKS) >= _CACHE_SIZE:
            oldest = next(iter(COMPILED_NETWORKS))
            del COMPILED_NETWORKS[oldest]
        COMPILED_NETWORKS[form] = _compile(model, trial.recipe, distilled=distilled)
    network = COMPILED_NETWORKS[form]
    network.reset(weights)
    return network


def _form_of(trial: Trial, model: Any) -> str:
    """Return an id that trials share if one compiled epoch serves them all.

    They may differ in weights, learning rates, and what happens between epochs.
    """
    recipe = replace(
        trial.recipe, epochs=1, learning_rate=1.0, initializer="glorot_uniform", early_stopping=None
    )
    network = (trial.architecture, to_plain(trial.parameters), trial.precision.trained.value)
    return content_id((*network, to_plain(recipe), model.input_shape, model.output_shape))


def _compile(model: Any, recipe: Recipe, *, distilled: bool) -> CompiledNetwork:
    from harness.models.keras import tf

    optimizer, variables = build_optimizer(recipe), model.trainable_variables
    optimizer.build(variables)
    compute_losses = build_loss(recipe, distilled=distilled)

    @tf.function(jit_compile=suits_xla(model))  # type: ignore[untyped-decorator]
    def run_step(images: Any, labels: Any, teacher_scores: Any, rate: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = model(images, training=True)
            loss = tf.reduce_mean(compute_losses(labels, scores, teacher_scores))
        gradients = tape.gradient(loss, variables)
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.stack([loss, compute_accuracy(labels, scores)])

    @tf.function  # type: ignore[untyped-decorator]
    def run_epoch(
        images: Any, labels: Any, teacher_scores: Any, batches: Any, rates: Any, random_seed: Any
    ) -> Any:
        steps = tf.shape(batches)[0]
        total = tf.zeros(2)
        for number in tf.range(steps):
            indices = batches[number]
            total += run_step(
                augment(
                    recipe, tf.gather(images, indices), seed=tf.concat([random_seed, [number]], 0)
                ),
                tf.gather(labels, indices),
                tf.gather(teacher_scores, indices),
                rates[number],
            )
        return total / tf.cast(steps, tf.float32)

    initial_state = tuple(variable.numpy() for variable in optimizer.variables)
    return CompiledNetwork(model, optimizer, run_epoch=run_epoch, initial_state=initial_state)


def suits_xla(model: Any) -> bool:
    """Return whether XLA trains the network faster than TensorFlow does.

    On a CPU, XLA's convolutions take up to three times as long, and as long again to compile.
    """
    from harness.models.keras import layers, tf

    convolves = any(isinstance(layer, layers.Conv2D) for layer in model.layers)
    return not convolves or bool(tf.config.list_physical_devices("GPU"))


def compute_accuracy(labels: Any, scores: Any) -> Any:
    """Return the share, 0 to 1, of labels (n,) that have the highest of the scores (n, classes)."""
    from harness.models.keras import tf

    return tf.reduce_mean(tf.cast(tf.argmax(scores, 1) == labels, tf.float32))


def to_tensors(*arrays: NDArray[Any]) -> tuple[Any, ...]:
    from harness.models.keras import tf

    return tuple(tf.constant(array) for array in arrays)
