"""What an architecture has to offer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.core.recipe import Initializer, InputQuantizer, KernelQuantizer, Recipe
from harness.core.sweep import Precision

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Task:
    """What a network is built for: images of `shape` (height, width, channels) in, a score for each of `classes` out.

    `kernel_quantizer` is None where weights are binary in training too, and need none.
    """

    shape: tuple[int, int, int]
    classes: int
    precision: Precision
    initializer: Initializer = Initializer("glorot_uniform")  # noqa: RUF009  (frozen)
    input_quantizer: InputQuantizer = "ste_sign"
    kernel_quantizer: KernelQuantizer | None = "ste_sign"

    @property
    def binary(self) -> bool:
        return self.precision is Precision.BINARY


def task_of(
    shape: tuple[int, int, int], classes: int, precision: Precision, recipe: Recipe
) -> Task:
    """The task that a recipe sets."""
    start = recipe.initializer
    return Task(
        shape,
        classes,
        precision=precision,
        initializer=start if isinstance(start, Initializer) else Initializer(start),
        input_quantizer=recipe.input_quantizer,
        kernel_quantizer=None if recipe.optimizer == "bop" else recipe.kernel_quantizer,
    )


@runtime_checkable
class Architecture(Protocol):
    """A frozen dataclass of parameters that builds its network twice, both with scores (logits) at the end."""

    def training_model(self, task: Task) -> "Model":
        """The network as it trains fastest; input (batch, *shape), output (batch, classes) scores."""
        ...

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        """The same function with the trained weights, in the form that LCE runs fastest; batch 1 where it has to be."""
        ...
