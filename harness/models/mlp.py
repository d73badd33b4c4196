"""A multi-layer perceptron, trained as dense layers and deployed as 1x1 convolutions.

LCE has binary kernels for convolutions only.
But a 1x1 convolution trains over ten times slower than a dense layer (`benchmarks/train_mlp.py`).
The two are the same function, with reshaped weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import activation, copy_weights, dense, normalisation, pointwise

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Mlp:
    """Hidden `layers` of `units`, with batch normalisation after every layer.

    The float twin has ReLU after every hidden layer.
    The binary network's first layer has binary weights, but takes real-valued pixels.
    """

    layers: Annotated[int, Ge(1), Le(1000), KeyHelp("Hidden layers.")] = 3
    units: Annotated[int, Ge(1), Lt(2**31), KeyHelp("Units of each hidden layer.")] = 256
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        return self._build_network(task, dense)

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return copy_weights(trained, self._build_network(task, pointwise))

    def _build_network(self, task: Task, linear: Callable[..., Any]) -> "Model":
        from harness.models.keras import Model, layers

        pixels = layers.Input(task.shape, name="image")
        x = layers.Reshape((1, 1, prod(task.shape)))(pixels)
        for index in range(self.layers):
            x = linear(task, self.units, real_input=index == 0)(x)
            x = normalisation()(x)
            x = activation(task)(x)
        x = normalisation()(linear(task, task.classes)(x))
        return Model(pixels, layers.Reshape((task.classes,))(x), name="mlp")
