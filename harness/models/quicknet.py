"""QuickNet of Bannink et al. (2021), made to be fast with Larq Compute Engine (arxiv.org/abs/2011.09398)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt, MultipleOf

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    blur,
    classified,
    convolution,
    depthwise,
    normalisation,
    pointwise,
    real,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class QuickNet:
    """`stages` of `blocks` residual 3x3 convolutions, `filters` in the first stage and twice as many in each next.

    Between stages height and width are halved by an antialiased max-pool (Zhang 2019), and a float 1x1 convolution
    widens. The paper has 4 stages of 4 with 64 filters, and its stem quarters the image; here, for small images, it
    leaves it as it is. The stem and the last layer are float. Each binary convolution is followed by ReLU and batch
    normalisation, an order that LCE fuses. The float twin has the same, where normalisation costs it two operators.
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
    __pydantic_config__ = STRICT

    def training_model(self, task: Task) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = _stem(task, image, filters=self.filters)
        for stage in range(self.stages):
            if stage > 0:
                x = _transition(task, x, filters=self.filters * 2**stage)
            for _ in range(self.blocks):
                x = _residual(task, x)
        return Model(image, classified(task, layers.ReLU()(x)), name="quicknet")

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def _stem(task: Task, x: Any, filters: int) -> Any:
    from harness.models.keras import layers

    x = layers.ReLU()(normalisation()(convolution(real(task), filters // 4, size=3)(x)))
    x = normalisation()(depthwise(task, 3)(x))
    return normalisation()(pointwise(real(task), filters)(x))


def _residual(task: Task, x: Any) -> Any:
    from harness.models.keras import layers

    product = convolution(task, x.shape[-1], size=3)(x)
    return layers.Add()([normalisation()(layers.ReLU()(product)), x])


def _transition(task: Task, x: Any, filters: int) -> Any:
    from harness.models.keras import layers

    x = layers.MaxPooling2D(2, strides=1, padding="same")(layers.ReLU()(x))
    return normalisation()(pointwise(real(task), filters)(blur(x.shape[-1])(x)))
