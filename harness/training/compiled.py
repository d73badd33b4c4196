"""What trains a network for an epoch, compiled by XLA: by the first trial of its form, for every later one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from harness.core.ids import content_id, to_plain
from harness.core.recipe import Recipe
from harness.core.sweep import Trial
from harness.training.recipe import augmented, loss, optimizer

_KEPT_FORMS = 2  # a student's and its teacher's


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network, its optimizer, and what trains it for an epoch.

    `epoch` takes images (n, height, width, channels), labels (n,) and a teacher's scores (n, classes); then the images'
    indices (steps, batch), learning rates (steps,), and what chance is to follow from (2,). It returns the mean loss
    and accuracy (2,). `fresh` is the optimizer before any step.
    """

    model: Any
    optimizer: Any
    epoch: Any
    fresh: tuple[NDArray[Any], ...]

    @property
    def variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def start(self, weights: Sequence[NDArray[Any]]) -> None:
        """As if it had just been built, with these weights."""
        self.model.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)


COMPILED_NETWORKS: dict[str, CompiledNetwork] = {}


def compiled(trial: Trial, model: Any, *, distilled: bool) -> CompiledNetwork:
    """That of the trial's form, started with the model's weights; made of the model where there is none yet."""
    form, weights = _form(trial, model), model.get_weights()
    if form not in COMPILED_NETWORKS:
        while len(COMPILED_NETWORKS) >= _KEPT_FORMS:
            del COMPILED_NETWORKS[next(iter(COMPILED_NETWORKS))]
        COMPILED_NETWORKS[form] = _compile(model, trial.recipe, distilled=distilled)
    COMPILED_NETWORKS[form].start(weights)
    return COMPILED_NETWORKS[form]


def _form(trial: Trial, model: Any) -> str:
    """The same for trials whose steps are the same but for weights, learning rates, and what comes between epochs."""
    recipe = replace(
        trial.recipe, epochs=1, learning_rate=1.0, initializer="glorot_uniform", early_stopping=None
    )
    network = (trial.architecture, to_plain(trial.parameters), trial.precision.trained.value)
    return content_id((*network, to_plain(recipe), model.input_shape, model.output_shape))


def _compile(model: Any, recipe: Recipe, distilled: bool) -> CompiledNetwork:
    from harness.models.keras import tf

    method, variables = optimizer(recipe), model.trainable_variables
    method.build(variables)
    price = loss(recipe, distilled=distilled)

    @tf.function(jit_compile=suits_xla(model))  # type: ignore[untyped-decorator]
    def step(batch: Any, truth: Any, lesson: Any, rate: Any) -> Any:
        with tf.GradientTape() as tape:
            answers = model(batch, training=True)
            whole = tf.reduce_mean(price(truth, answers, lesson))
        method.learning_rate.assign(rate)
        method.apply_gradients(zip(tape.gradient(whole, variables), variables, strict=True))
        return tf.stack([whole, share_correct(truth, answers)])

    @tf.function  # type: ignore[untyped-decorator]
    def epoch(images: Any, labels: Any, lessons: Any, order: Any, rates: Any, chance: Any) -> Any:
        total = tf.zeros(2)
        for number in tf.range(tf.shape(order)[0]):
            chosen = order[number]
            batch = augmented(
                recipe, tf.gather(images, chosen), seed=tf.concat([chance, [number]], 0)
            )
            total += step(
                batch, tf.gather(labels, chosen), tf.gather(lessons, chosen), rates[number]
            )
        return total / tf.cast(tf.shape(order)[0], tf.float32)

    return CompiledNetwork(
        model, method, epoch=epoch, fresh=tuple(variable.numpy() for variable in method.variables)
    )


def suits_xla(model: Any) -> bool:
    """On a CPU, XLA's convolutions take up to three times as long as TensorFlow's own, and as long to compile."""
    from harness.models.keras import layers, tf

    convolves = any(isinstance(layer, layers.Conv2D) for layer in model.layers)
    return not convolves or bool(tf.config.list_physical_devices("GPU"))


def share_correct(truth: Any, answers: Any) -> Any:
    """0 to 1, of labels (n,) and scores (n, classes)."""
    from harness.models.keras import tf

    return tf.reduce_mean(tf.cast(tf.argmax(answers, 1) == truth, tf.float32))


def tensors(*arrays: NDArray[Any]) -> tuple[Any, ...]:
    from harness.models.keras import tf

    return tuple(map(tf.constant, arrays))
