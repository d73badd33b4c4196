"""What an architecture has to offer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.core.sweep import Precision

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Task:
    """What a network is built for: images of `shape` (height, width, channels) in, `classes` probabilities out."""

    shape: tuple[int, int, int]
    classes: int
    precision: Precision
    initializer: str


@runtime_checkable
class Architecture(Protocol):
    """A frozen dataclass of parameters that builds its network twice."""

    def training_model(self, task: Task) -> "Model":
        """The network as it trains fastest; input (batch, *shape), output (batch, classes) probabilities."""
        ...

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        """The same function with the trained weights, in the form that LCE runs fastest."""
        ...
