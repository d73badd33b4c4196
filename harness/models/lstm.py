"""A network of long short-term memory that reads an image row by row.

See Hochreiter and Schmidhuber (1997).
It trains in a loop over rows, which compiles in seconds.
It is deployed unrolled, with 1x1 convolutions, for which LCE has binary kernels.
All rows share one set of weights, also in the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import as_float, classify, copy_weights, dense, normalisation, pointwise

if TYPE_CHECKING:
    from harness.models.keras import Model

State: TypeAlias = tuple[Any, Any]
Step = Callable[[State, Any], State]


@dataclass(frozen=True)
class Lstm:
    """Layers of `units`; the mean of the last layer's states over all rows is classified.

    The input's part of the gates is one batch-normalised product for all rows.
    The state's part is weight-normalised, as its gradients explode otherwise.
    See Hou et al. (2019, "Normalization Helps Training of Quantized LSTM").
    Ardakani et al. (2019, arxiv.org/abs/1809.11086) normalise the state's part over the batch, too.
    We do not, because statistics differ from row to row.

    Weights and states are binary where they are multiplied; gates and cells are not.
    The first layer's product with pixels is float, as binary weights would cost as much.
    A binary state has the sign of its cell, whatever the output gate is.
    So the gate only affects the states that are classified.
    """

    layers: Annotated[int, Ge(1), Le(100), KeyHelp("Recurrent layers.")] = 1
    units: Annotated[int, Ge(1), Lt(2**16), KeyHelp("Units of each layer.")] = 128
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        return self._build_network(task, dense, run=_run_loop)

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return copy_weights(trained, self._build_network(task, pointwise, run=_run_unrolled))

    def _build_network(
        self, task: Task, linear: Callable[..., Any], run: Callable[[Step, Any], Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        height, width, channels = task.shape
        image = layers.Input(task.shape, name="image")
        x = layers.Reshape((height, 1, width * channels))(image)
        for index in range(self.layers):
            gates = normalisation()(linear(task if index else as_float(task), 4 * self.units)(x))
            x = _make_recurrence(task, self.units, linear=linear, run=run)(gates)
        return Model(image, classify(task, x), name="lstm")


def _make_recurrence(
    task: Task, units: int, linear: Callable[..., Any], run: Callable[[Step, Any], Any]
) -> Any:
    """Return a layer of gate inputs (batch, rows, 1, 4 * units).

    Its outputs are the states (batch, rows, 1, units).
    """
    from harness.models.keras import layers

    # The norm of a filter of signs; float filters start near 1 and learn their own.
    norm = units**0.5 if task.binary else 1.0

    class Recurrence(layers.Layer):  # type: ignore[misc]  # Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.product = linear(task, 4 * units)

        def build(self, _shape: Any) -> None:
            self.product.build((None, 1, 1, units))
            self.gain = self.add_weight("gain", (4 * units,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return run(self.step, inputs)

        def step(self, previous: State, inputs: Any) -> State:
            state, cell = previous
            return _update(inputs + self.product(state) * (self.gain / norm), cell)

    return Recurrence()


def _update(gates: Any, cell: Any = None) -> State:
    """Return state and cell after a row; before the first row there is no `cell`."""
    from harness.models.keras import tf

    input_gate, forget_gate, output_gate, candidate = tf.split(gates, 4, axis=-1)
    addition = tf.sigmoid(input_gate) * tf.tanh(candidate)
    cell = addition if cell is None else tf.sigmoid(forget_gate) * cell + addition
    return tf.sigmoid(output_gate) * tf.tanh(cell), cell


def _run_loop(step: Step, inputs: Any) -> Any:
    from harness.models.keras import tf

    rows = tf.transpose(inputs, (1, 0, 2, 3))
    first, cell = _update(rows[0])
    states, _ = tf.scan(step, rows[1:], (first, cell))
    return tf.transpose(tf.concat([first[tf.newaxis], states], 0), (1, 0, 2, 3))


def _run_unrolled(step: Step, inputs: Any) -> Any:
    from harness.models.keras import tf

    first, *rest = tf.split(inputs, inputs.shape[1], axis=1)
    steps = accumulate(rest, step, initial=_update(first))
    return tf.concat([state for state, _ in steps], axis=1)
