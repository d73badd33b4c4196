"""The interface of an architecture, and the task that its networks are built for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from harness.core.recipe import Initializer, InputQuantizer, KernelQuantizer, Recipe
from harness.core.sweep import Precision

if TYPE_CHECKING:
    from harness.models.keras import Model

Layout: TypeAlias = Literal["small", "imagenet"]
"""The images that a network's first and last layers are meant for; `imagenet` is its paper's."""


@dataclass(frozen=True)
class Task:
    """The inputs and outputs of a network, and its precision and quantizers.

    Inputs are images of `shape` (height, width, channels); outputs are a score for each class.
    `kernel_quantizer` is None if the optimizer keeps weights binary during training.
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


def make_task(
    shape: tuple[int, int, int], classes: int, precision: Precision, recipe: Recipe
) -> Task:
    """Make the task that a recipe describes."""
    initializer = recipe.initializer
    return Task(
        shape,
        classes,
        precision=precision,
        initializer=(
            initializer if isinstance(initializer, Initializer) else Initializer(initializer)
        ),
        input_quantizer=recipe.input_quantizer,
        kernel_quantizer=None if recipe.optimizer == "bop" else recipe.kernel_quantizer,
    )


@runtime_checkable
class Architecture(Protocol):
    """A frozen dataclass of parameters that builds a network in two forms.

    Both forms end in scores (logits).
    """

    def build_training_model(self, task: Task) -> "Model":
        """Build the form that trains fastest.

        Its input is (batch, *shape), its output (batch, classes) scores.
        """
        ...

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        """Build the form that LCE runs fastest: the same function with the trained weights.

        Its batch may be fixed to 1.
        """
        ...
