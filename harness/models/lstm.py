"""A recurrent network of long short-term memory (Hochreiter and Schmidhuber 1997), which reads an image row by row.

Trained in a loop over rows, which compiles in seconds; deployed unrolled, its products as 1x1 convolutions, for which
LCE has binary kernels. All rows share one set of weights, in the file too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import classified, dense, normalisation, pointwise, real, with_weights_of

if TYPE_CHECKING:
    from harness.models.keras import Model

State: TypeAlias = tuple[Any, Any]
Step = Callable[[State, Any], State]


@dataclass(frozen=True)
class Lstm:
    """`layers` of `units`; the mean of the last one's states over all rows is what is classified.

    What all rows put into the gates is one product, batch-normalised; the state's part is weight-normalised, as its
    gradients explode otherwise (Hou et al. 2019, "Normalization Helps Training of Quantized LSTM"). Ardakani et al.
    (2019, arxiv.org/abs/1809.11086) normalise that over the batch too, but one row's statistics are not the next one's.
    Weights and the states that they meet are binary; gates, cells and the first layer's product with pixels are not:
    binary weights there would cost as much. A binary state has its cell's sign, whatever the output gate: that acts
    only on what is classified.
    """

    layers: Annotated[int, Ge(1), Le(100), KeyHelp("Recurrent layers.")] = 1
    units: Annotated[int, Ge(1), Lt(2**16), KeyHelp("Units of each layer.")] = 128
    __pydantic_config__ = STRICT

    def training_model(self, task: Task) -> "Model":
        return self._network(task, dense, _looped)

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        return with_weights_of(trained, self._network(task, pointwise, _unrolled))

    def _network(
        self, task: Task, linear: Callable[..., Any], run: Callable[[Step, Any], Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        height, width, channels = task.shape
        image = layers.Input(task.shape, name="image")
        x = layers.Reshape((height, 1, width * channels))(image)
        for index in range(self.layers):
            gates = normalisation()(linear(task if index else real(task), 4 * self.units)(x))
            x = _recurrence(task, self.units, linear=linear, run=run)(gates)
        return Model(image, classified(task, x), name="lstm")


def _recurrence(
    task: Task, units: int, linear: Callable[..., Any], run: Callable[[Step, Any], Any]
) -> Any:
    """A layer: inputs of the gates (batch, rows, 1, 4 * units) → states (batch, rows, 1, units)."""
    from harness.models.keras import layers

    length = (
        units**0.5 if task.binary else 1.0
    )  # of a filter; float weights start near 1, and learn theirs

    class Recurrence(layers.Layer):  # type: ignore[misc]  # Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.product = linear(task, 4 * units)

        def build(self, _shape: Any) -> None:
            self.product.build((None, 1, 1, units))
            self.gain = self.add_weight("gain", (4 * units,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return run(self.step, inputs)

        def step(self, before: State, inputs: Any) -> State:
            state, cell = before
            return _next(inputs + self.product(state) * (self.gain / length), cell)

    return Recurrence()


def _next(gates: Any, cell: Any = None) -> State:
    """State and cell after a row; the first has no `cell` before it."""
    from harness.models.keras import tf

    given, kept, out, new = tf.split(gates, 4, axis=-1)
    added = tf.sigmoid(given) * tf.tanh(new)
    cell = added if cell is None else tf.sigmoid(kept) * cell + added
    return tf.sigmoid(out) * tf.tanh(cell), cell


def _looped(step: Step, inputs: Any) -> Any:
    from harness.models.keras import tf

    rows = tf.transpose(inputs, (1, 0, 2, 3))
    first, cell = _next(rows[0])
    later, _ = tf.scan(step, rows[1:], (first, cell))
    return tf.transpose(tf.concat([first[tf.newaxis], later], 0), (1, 0, 2, 3))


def _unrolled(step: Step, inputs: Any) -> Any:
    from harness.models.keras import tf

    first, *rest = tf.split(inputs, inputs.shape[1], axis=1)
    return tf.concat([state for state, _ in accumulate(rest, step, initial=_next(first))], axis=1)
