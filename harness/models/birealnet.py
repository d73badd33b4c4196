"""Bi-Real Net of Liu et al. (2018): a shortcut around every binary convolution.

See arxiv.org/abs/1808.00278.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Layout, Task
from harness.models.blocks import (
    activation,
    as_float,
    classify,
    convolution,
    normalisation,
    pointwise,
    score,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class BiRealNet:
    """Stages of `layers` 3x3 convolutions; `filters` double with each stage.

    Each stage but the first halves height and width.
    Its shortcut is an average pool, a float 1x1 convolution and batch normalisation.
    With the layout `small`, the first layer is 3x3 and keeps the size.
    With `imagenet` it is 7x7, and a 3x3 max-pool follows: together they quarter the image.
    The paper's 18-layer network is `imagenet` with 4 stages of 4 layers and 64 filters.
    The first and the last layer are float.
    The float twin has ReLU where the binary network takes signs.
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
    layout: Annotated[Layout, KeyHelp("The first and the last layers: for which images.")] = "small"
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        if self.layout == "imagenet":
            x = normalisation()(convolution(as_float(task), self.filters, size=7, strides=2)(image))
            x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        else:
            x = normalisation()(convolution(as_float(task), self.filters, size=3)(image))
        for stage in range(self.stages):
            for layer in range(self.layers):
                x = _build_block(
                    task, x, filters=self.filters * 2**stage, halve=stage > 0 and layer == 0
                )
        scores = score(task, x) if self.layout == "imagenet" else classify(task, layers.ReLU()(x))
        return Model(image, scores, name="birealnet")

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def _build_block(task: Task, x: Any, filters: int, *, halve: bool) -> Any:
    from harness.models.keras import layers

    shortcut = x
    if halve:
        shortcut = layers.AveragePooling2D(2, padding="same")(x)
        shortcut = normalisation()(pointwise(as_float(task), filters)(shortcut))
    x = convolution(task, filters, size=3, strides=2 if halve else 1)(activation(task)(x))
    return layers.Add()([normalisation()(x), shortcut])
