"""BinaryNet, the VGG-like network of Courbariaux, Hubara et al. (2016) for CIFAR-10.

See arxiv.org/abs/1602.02830.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    BATCH_NORM_EPSILON,
    activation,
    convolution,
    copy_weights,
    dense,
    normalisation,
    pointwise,
    window,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class BinaryNet:
    """Blocks of two 3x3 convolutions and a 2x2 max-pool; `filters` double with each block.

    Two dense layers of `units` follow, and then the layer of the scores.
    The paper has 3 blocks, 128 filters and 1024 units. Its code pools before normalisation, with an
    epsilon of 0.0001 (github.com/MatthieuCourbariaux/BinaryNet, Train-time/cifar10.py).
    Dense layers are deployed as convolutions, for which LCE has binary kernels.
    By default, pooling comes after normalisation: LCE then pools signs as bits.
    The float twin has ReLU after every normalisation but the last.
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
    pool_before_normalisation: Annotated[
        bool, KeyHelp("Pools sums, as in the paper. The default pools signs, which is faster.")
    ] = False
    epsilon: Annotated[
        float, Gt(0), Lt(1), KeyHelp("Added to the variances in batch normalisation.")
    ] = BATCH_NORM_EPSILON
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        from harness.models.keras import layers

        def flatten_and_connect(x: Any) -> Any:
            flat = layers.Reshape((1, 1, prod(x.shape[1:])))(x)
            return dense(task, self.units)(flat)

        return self._build_network(task, flatten_and_connect, linear=dense)

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        def cover_with_window(x: Any) -> Any:
            return window(task, self.units, size=tuple(x.shape[1:3]))(x)

        return copy_weights(trained, self._build_network(task, cover_with_window, linear=pointwise))

    def _build_network(
        self, task: Task, first: Callable[[Any], Any], linear: Callable[..., Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = image
        for block in range(self.blocks):
            filters = self.filters * 2**block
            x = convolution(task, filters, size=3, real_input=block == 0)(x)
            x = convolution(task, filters, size=3)(self._normalise(task, x))
            pool = layers.MaxPooling2D(2, padding="same")
            if self.pool_before_normalisation:
                x = self._normalise(task, pool(x))
            else:
                x = pool(self._normalise(task, x))
        x = self._normalise(task, first(x))
        x = self._normalise(task, linear(task, self.units)(x))
        x = normalisation(epsilon=self.epsilon)(linear(task, task.classes)(x))
        return Model(image, layers.Reshape((task.classes,))(x), name="binarynet")

    def _normalise(self, task: Task, x: Any) -> Any:
        return activation(task)(normalisation(epsilon=self.epsilon)(x))
