"""Networks whose training epoch XLA compiles once, for all trials of the same form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from harness.core.errors import Reason, TrialFailed
from harness.core.ids import content_id, to_plain
from harness.core.sweep import Trial
from harness.models.custom import is_custom
from harness.training.recipe import augment, build_loss, build_optimizer

_CACHE_SIZE = 2  # a student and its teacher


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network, its optimizer, and the function that trains it for an epoch.

    `run_epoch` takes images (n, height, width, channels), labels (n,) and a teacher's scores
    (n, classes). Then it takes the batches' image indices (steps, batch), learning rates (steps,)
    and a random seed (2,). It returns the mean loss and accuracy (2,). `generators` are the states
    of the network's random layers, such as dropout. `initial_state` holds the optimizer's variables
    and these states before the first step.
    """

    model: Any
    optimizer: Any
    generators: tuple[Any, ...]
    run_epoch: Any
    initial_state: tuple[NDArray[Any], ...]

    @property
    def variables(self) -> list[Any]:
        """Everything that a step changes."""
        return [*self.model.variables, *self.optimizer.variables, *self.generators]

    def reset(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set these weights, and everything else as if the network were newly built."""
        self.model.set_weights(weights)
        state = (*self.optimizer.variables, *self.generators)
        for variable, value in zip(state, self.initial_state, strict=True):
            variable.assign(value)


COMPILED_NETWORKS: dict[str, CompiledNetwork] = {}
"""The networks of this process by form, the oldest first."""


def get_compiled(trial: Trial, model: Any, *, distilled: bool) -> CompiledNetwork:
    """Return the compiled network of the trial's form, with the weights of `model`.

    The first trial of a form compiles its own model. Raises TrialFailed if the network is random in
    a way that no seed repeats.
    """
    form, weights = _form_of(trial, model), model.get_weights()
    if form not in COMPILED_NETWORKS:
        while len(COMPILED_NETWORKS) >= _CACHE_SIZE:
            oldest = next(iter(COMPILED_NETWORKS))
            del COMPILED_NETWORKS[oldest]
        COMPILED_NETWORKS[form] = _compile(model, trial, distilled=distilled)
    network = COMPILED_NETWORKS[form]
    network.reset(weights)
    return network


def _form_of(trial: Trial, model: Any) -> str:
    """Return an id that trials share if one compiled epoch serves them all.

    They may differ in weights, learning rates, and what happens between epochs. A network of the
    user's own may hold more than weights that differ by seed: it is compiled for its trial alone.
    """
    if is_custom(trial.architecture):
        return trial.id
    recipe = replace(
        trial.recipe, epochs=1, learning_rate=1.0, initializer="glorot_uniform", early_stopping=None
    )
    network = (trial.architecture, to_plain(trial.parameters), trial.precision.trained.value)
    return content_id((*network, to_plain(recipe), model.input_shape, model.output_shape))


def _compile(model: Any, trial: Trial, *, distilled: bool) -> CompiledNetwork:
    from harness.models.keras import tf

    recipe = trial.recipe
    generators = find_generators(model) if is_custom(trial.architecture) else ()
    optimizer, variables = build_optimizer(recipe), model.trainable_variables
    optimizer.build(variables)
    compute_losses = build_loss(recipe, distilled=distilled)

    @tf.function(jit_compile=suits_xla(model))  # type: ignore[untyped-decorator]
    def run_step(images: Any, labels: Any, teacher_scores: Any, rate: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = model(images, training=True)
            loss = tf.reduce_mean(compute_losses(labels, scores, teacher_scores))
            # What layers add by themselves, such as a penalty on their weights
            loss += sum(tf.reduce_mean(tf.cast(added, loss.dtype)) for added in model.losses)
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
                teacher_scores=tf.gather(teacher_scores, indices),
                rate=rates[number],
            )
        return total / tf.cast(steps, tf.float32)

    initial_state = tuple(variable.numpy() for variable in (*optimizer.variables, *generators))
    return CompiledNetwork(
        model, optimizer, generators=generators, run_epoch=run_epoch, initial_state=initial_state
    )


def find_generators(model: Any) -> tuple[Any, ...]:
    """Return the variables, other than weights, that the network changes while it trains.

    These are the states of its random layers, in the order in which the network uses them. Raises
    TrialFailed if it has random operations without such a state: no seed repeats them, and no
    checkpoint continues them.
    """
    from harness.models.keras import tf

    images = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    forward = tf.function(lambda images: model(images, training=True)).get_concrete_function(images)
    kinds = _list_operators(forward.graph.as_graph_def())
    if unrepeatable := sorted(kind for kind in kinds if _is_unrepeatable(kind)):
        raise TrialFailed(
            Reason.BUG,
            f"{model.name} uses {unrepeatable[0]}, which no seed repeats; "
            "use a Keras layer such as GaussianNoise, or a tf.random.Generator.",
        )
    weights = {id(variable) for variable in model.variables}
    order = {id(tensor): number for number, tensor in enumerate(forward.captured_inputs)}
    others = [variable for variable in forward.variables if id(variable) not in weights]
    return tuple(sorted(others, key=lambda variable: order[id(variable.handle)]))


def _list_operators(graph: Any) -> set[str]:
    """Return the types of the operators of a TensorFlow graph and of its functions."""
    kinds = {node.op for node in graph.node}
    for function in graph.library.function:
        kinds.update(node.op for node in function.node_def)
    return kinds


def _is_unrepeatable(kind: str) -> bool:
    """Return whether an operator draws random numbers from a state that can't be saved."""
    return kind.startswith("Random") or kind in (
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "TruncatedNormal",
    )


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
