"""BinaryNet, the network of Courbariaux, Hubara et al. (2016) for CIFAR-10, after VGG (arxiv.org/abs/1602.02830)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    activation,
    convolution,
    dense,
    normalisation,
    pointwise,
    window,
    with_weights_of,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class BinaryNet:
    """`blocks` of two 3x3 convolutions and a 2x2 max-pool, `filters` in the first and twice as many in each next.

    Two dense layers of `units` follow, and the one of the scores; the paper has 3 blocks, 128 filters and 1024 units.
    They are trained as dense and deployed as convolutions, which LCE has binary kernels for. Pooling comes after
    normalisation, not before: what it then pools are signs, and LCE does that on bits. The float twin has ReLU after
    every normalisation but the last.
    """

    blocks: Annotated[
        int, Ge(1), Le(6), KeyHelp("Blocks of two 3x3 convolutions and a max-pool.")
    ] = 3
    filters: Annotated[
        int,
        Ge(1),
        Lt(2**16),
        KeyHelp("Filters of the first block; each next one has twice as many."),
    ] = 32
    units: Annotated[int, Ge(1), Lt(2**31), KeyHelp("Units of each of the two dense layers.")] = 256
    __pydantic_config__ = STRICT

    def training_model(self, task: Task) -> "Model":
        from harness.models.keras import layers

        def flattened(x: Any) -> Any:
            whole = layers.Reshape((1, 1, prod(x.shape[1:])))(x)
            return dense(task, self.units)(whole)

        return self._network(task, flattened, dense)

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        def covering(x: Any) -> Any:
            return window(task, self.units, size=tuple(x.shape[1:3]))(x)

        return with_weights_of(trained, self._network(task, covering, pointwise))

    def _network(
        self, task: Task, first: Callable[[Any], Any], linear: Callable[..., Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = image
        for block in range(self.blocks):
            filters = self.filters * 2**block
            x = _normalised(task, convolution(task, filters, size=3, real_input=block == 0)(x))
            x = _normalised(task, convolution(task, filters, size=3)(x))
            x = layers.MaxPooling2D(2, padding="same")(x)
        x = _normalised(task, first(x))
        x = _normalised(task, linear(task, self.units)(x))
        x = normalisation()(linear(task, task.classes)(x))
        return Model(image, layers.Reshape((task.classes,))(x), name="binarynet")


def _normalised(task: Task, x: Any) -> Any:
    return activation(task)(normalisation()(x))
