"""A network of depthwise-separable convolutions, after MobileNet.

See Howard et al. (2017, arxiv.org/abs/1704.04861).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    activation,
    as_float,
    classify,
    convolution,
    depthwise,
    normalisation,
    pointwise,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Cnn:
    """Stages of `blocks`, each a 3x3 depthwise and a 1x1 pointwise convolution.

    `filters` double with each stage; each stage but the first halves height and width.
    This is a float baseline.
    In the binary network only the pointwise convolutions are binary, which do most of the work.
    Depthwise convolutions stay float, because LCE has no binary kernels for them.
    The first and the last layer stay float, too.
    """

    stages: Annotated[
        int, Ge(1), Le(6), KeyHelp("Stages; each but the first halves height and width.")
    ] = 3
    blocks: Annotated[
        int, Ge(1), Le(100), KeyHelp("Depthwise and pointwise pairs of each stage.")
    ] = 2
    filters: Annotated[
        int,
        Ge(1),
        Lt(2**16),
        KeyHelp("Filters of the first stage; each next one has twice as many."),
    ] = 64
    __pydantic_config__ = STRICT

    def build_training_model(self, task: Task) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = layers.ReLU()(normalisation()(convolution(as_float(task), self.filters, size=3)(image)))
        for stage in range(self.stages):
            for block in range(self.blocks):
                x = _build_block(
                    task,
                    x,
                    filters=self.filters * 2**stage,
                    strides=2 if stage > 0 and block == 0 else 1,
                )
        return Model(image, classify(task, x), name="cnn")

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def _build_block(task: Task, x: Any, filters: int, *, strides: int) -> Any:
    x = activation(task)(normalisation()(depthwise(task, 3, strides=strides)(x)))
    return activation(task)(normalisation()(pointwise(task, filters)(x)))
