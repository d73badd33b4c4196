"""A multi-layer perceptron; trained as dense layers, deployed as 1x1 convolutions.

LCE has binary kernels for convolutions only, while a 1x1 convolution trains about ten times slower than the
same product as a matrix product (`benchmarks/train_mlp.py`). The two are one function: a reshape of the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.sweep import Precision
from harness.models.architecture import Task

if TYPE_CHECKING:
    from harness.models.keras import Model

BATCH_NORM_MOMENTUM = 0.9
# The straight-through estimator passes the gradient where |x| <= 1 only (Courbariaux, Hubara et al. 2016).
BINARY_KERNEL = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
BINARY_INPUT = {"input_quantizer": "ste_sign"}


@dataclass(frozen=True)
class Mlp:
    """`layers` hidden layers of `units`, batch normalisation after every layer; ReLU in the float twin.

    The binary network's first layer takes real-valued pixels: its weights are binary, its product is not.
    """

    layers: Annotated[int, Ge(1), Le(1000)] = 3
    units: Annotated[int, Ge(1), Lt(2**31)] = 256
    __pydantic_config__ = STRICT

    def training_model(self, task: Task) -> "Model":
        return self._network(task, _dense, (prod(task.shape),))

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        deployed = self._network(task, _pointwise, (1, 1, prod(task.shape)))
        for source, target in zip(trained.layers, deployed.layers, strict=True):
            shapes = [weight.shape for weight in target.get_weights()]
            target.set_weights([w.reshape(shape) for w, shape in zip(source.get_weights(), shapes, strict=True)])
        return deployed

    def _network(self, task: Task, linear: Callable[..., Any], flat: tuple[int, ...]) -> "Model":
        from harness.models.keras import Model, layers

        pixels = layers.Input(task.shape, name="image")
        x = layers.Reshape(flat)(pixels)
        for index in range(self.layers):
            x = linear(task, self.units, first=index == 0)(x)
            x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)
            if task.precision is not Precision.BINARY:
                x = layers.ReLU()(x)
        x = linear(task, task.classes, first=False)(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)
        x = layers.Reshape((task.classes,))(x)
        return Model(pixels, layers.Softmax()(x), name="mlp")


def _dense(task: Task, units: int, first: bool) -> Any:
    from harness.models.keras import larq, layers

    common = {"use_bias": False, "kernel_initializer": task.initializer}
    if task.precision is Precision.BINARY:
        return larq.layers.QuantDense(units, **common, **_quantizers(first))
    return layers.Dense(units, **common)


def _pointwise(task: Task, units: int, first: bool) -> Any:
    from harness.models.keras import larq, layers

    if task.precision is Precision.BINARY:
        return larq.layers.QuantConv2D(units, 1, use_bias=False, **_quantizers(first))
    return layers.Conv2D(units, 1, use_bias=False)


def _quantizers(first: bool) -> dict[str, str]:
    return BINARY_KERNEL if first else {**BINARY_KERNEL, **BINARY_INPUT}
