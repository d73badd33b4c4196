"""Bi-Real Net of Liu et al. (2018): a shortcut around every binary convolution (arxiv.org/abs/1808.00278)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    activation,
    classified,
    convolution,
    normalisation,
    pointwise,
    real,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class BiRealNet:
    """`stages` of `layers` 3x3 convolutions, `filters` in the first stage and twice as many in each next.

    Each stage but the first halves height and width; its shortcut is an average pool, a float 1x1 convolution and
    batch normalisation. The paper's 18 layers are 4 stages of 4 with 64 filters, and its first one is 7x7 and quarters
    the image; here, for small images, it is 3x3 and leaves it as it is. That and the last layer are float.
    Where the binary network takes signs the float twin has ReLU.
    """

    stages: Annotated[
        int, Ge(1), Le(6), KeyHelp("Stages; each but the first halves height and width.")
    ] = 3
    layers: Annotated[int, Ge(1), Le(100), KeyHelp("3x3 convolutions of each stage.")] = 4
    filters: Annotated[
        int,
        Ge(1),
        Lt(2**16),
        KeyHelp("Filters of the first stage; each next one has twice as many."),
    ] = 32
    __pydantic_config__ = STRICT

    def training_model(self, task: Task) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = normalisation()(convolution(real(task), self.filters, size=3)(image))
        for stage in range(self.stages):
            for layer in range(self.layers):
                x = _block(
                    task, x, filters=self.filters * 2**stage, halved=stage > 0 and layer == 0
                )
        return Model(image, classified(task, layers.ReLU()(x)), name="birealnet")

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def _block(task: Task, x: Any, filters: int, *, halved: bool) -> Any:
    from harness.models.keras import layers

    shortcut = x
    if halved:
        shortcut = layers.AveragePooling2D(2, padding="same")(x)
        shortcut = normalisation()(pointwise(real(task), filters)(shortcut))
    x = convolution(task, filters, size=3, strides=2 if halved else 1)(activation(task)(x))
    return layers.Add()([normalisation()(x), shortcut])
