"""QuickNet of Bannink et al. (2021), designed for Larq Compute Engine.

See arxiv.org/abs/2011.09398.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt, MultipleOf

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Layout, Task
from harness.models.blocks import (
    as_float,
    blur,
    classify,
    convolution,
    depthwise,
    normalisation,
    pointwise,
    score,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class QuickNet:
    """Stages of `blocks` residual 3x3 convolutions; `filters` double with each stage.

    Between stages an antialiased max-pool (Zhang 2019) halves height and width.
    A float 1x1 convolution then doubles the channels.
    With the layout `small`, the stem keeps the image's size; with `imagenet` it quarters it.
    The paper's network is `imagenet` with 4 stages of 4 blocks and 64 filters. Its small and large
    versions have other filters or blocks in each stage, which can't be set here.
    The stem and the last layer are float.
    ReLU and batch normalisation follow each binary convolution, an order that LCE fuses.
    The float twin has the same order, where normalisation costs two operators.
    """

    stages: Annotated[
        int, Ge(1), Le(6), KeyHelp("Stages; height and width are halved between them.")
    ] = 3
    blocks: Annotated[int, Ge(1), Le(100), KeyHelp("Residual 3x3 convolutions of each stage.")] = 2
    filters: Annotated[
        int,
        Ge(4),
        Lt(2**16),
        MultipleOf(4),
        KeyHelp("Filters of the first stage; each next one has twice as many."),
    ] = 32
    layout: Annotated[Layout, KeyHelp("The first and the last layers: for which images.")] = "small"
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = _build_stem(task, image, filters=self.filters, layout=self.layout)
        for stage in range(self.stages):
            if stage > 0:
                filters = self.filters * 2**stage
                x = _build_transition(task, x, filters=filters, layout=self.layout)
            for _ in range(self.blocks):
                x = _build_block(task, x)
        make_scores = score if self.layout == "imagenet" else classify
        return Model(image, make_scores(task, layers.ReLU()(x)), name="quicknet")

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def _build_stem(task: Task, x: Any, filters: int, *, layout: Layout) -> Any:
    from harness.models.keras import layers

    strides = 2 if layout == "imagenet" else 1
    x = convolution(as_float(task), filters // 4, size=3, strides=strides)(x)
    x = depthwise(task, 3, strides=strides)(layers.ReLU()(normalisation()(x)))
    x = normalisation(affine=layout == "small")(x)
    return normalisation()(pointwise(as_float(task), filters)(x))


def _build_block(task: Task, x: Any) -> Any:
    from harness.models.keras import layers

    product = convolution(task, x.shape[-1], size=3)(x)
    return layers.Add()([normalisation()(layers.ReLU()(product)), x])


def _build_transition(task: Task, x: Any, filters: int, *, layout: Layout) -> Any:
    """Halve height and width; the paper's unpadded pool needs images of at least two pixels."""
    from harness.models.keras import layers

    padding = "valid" if layout == "imagenet" else "same"
    x = layers.MaxPooling2D(2, strides=1, padding=padding)(layers.ReLU()(x))
    return normalisation()(pointwise(as_float(task), filters)(blur(x.shape[-1])(x)))
