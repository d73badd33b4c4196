"""How one trial is trained.

Bounds stand in the types (annotated-types), so that the file readers check what is written here once.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from harness.core.bench import STRICT


def _refuse(values: Any, key: str, chosen: str, instead: str) -> None:
    """Raises ValueError where a key without effect is not at its default: it would train the same under another id."""
    if getattr(values, key) != getattr(type(values), key):
        raise ValueError(f"{key} has no effect with {chosen}; take it out, or set {instead}")


@dataclass(frozen=True)
class Schedule:
    """A learning rate over time, after `warmup_epochs` in which it rises evenly from 0.

    It falls from `initial` to `initial * decay_rate ** (epoch / decay_epochs)`, smoothly (`exponential`) or once every
    `decay_epochs` (`step`); or to 0 at the last epoch, along half a cosine or a line.
    """

    schedule: Literal["exponential", "step", "cosine", "linear"]
    initial: Annotated[float, Gt(0)]
    decay_rate: Annotated[float, Gt(0), Le(1)] = 0.9
    decay_epochs: Annotated[float, Gt(0)] = 1.0
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.schedule in ("cosine", "linear"):
            for key in ("decay_rate", "decay_epochs"):
                _refuse(self, key, chosen=self.schedule, instead="schedule to exponential or step")


Distribution = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
]
InputQuantizer = Literal["ste_sign", "approx_sign", "swish_sign"]
KernelQuantizer = Literal["ste_sign", "approx_sign", "swish_sign", "dorefa"]


@dataclass(frozen=True)
class Initializer:
    """Where kernels start: a distribution's values, times `scale`."""

    distribution: Distribution
    scale: Annotated[float, Gt(0)] = 1.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Bop:
    """Flips a binary weight once the moving average of its gradient passes `threshold` (Helwegen et al. 2019)."""

    threshold: Annotated[float, Ge(0)] = 1e-8
    gamma: Annotated[float, Gt(0), Le(1)] = 1e-4
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training after `patience` epochs without a better validation accuracy; the best epoch's weights are kept."""

    patience: Annotated[int, Ge(1)] = 10
    min_delta: Annotated[float, Ge(0), Lt(1)] = 0.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Distillation:
    """A binary network learns from its float twin too (Hinton, Vinyals and Dean 2015).

    `weight` of the loss is the twin's answers softened by `temperature`, the rest is the labels.
    """

    weight: Annotated[float, Gt(0), Le(1)] = 0.5
    temperature: Annotated[float, Gt(0)] = 4.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Recipe:
    """How one trial is trained. Quantizers, `bop` and `distillation` are of the binary network alone."""

    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)] = 100
    optimizer: Literal["adam", "sgd", "bop"] = "adam"
    learning_rate: Annotated[float, Gt(0)] | Schedule = 0.001
    loss: Literal["softmax_cross_entropy", "squared_hinge"] = "softmax_cross_entropy"
    initializer: Distribution | Initializer = "glorot_uniform"
    validation: Annotated[float, Ge(0), Le(0.9)] = 0.1
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    bop: Bop = Bop()
    input_quantizer: InputQuantizer = "ste_sign"
    kernel_quantizer: KernelQuantizer = "ste_sign"
    early_stopping: EarlyStopping | None = None
    distillation: Distillation | None = None
    augmentation: Literal["none", "flip_and_shift"] = "none"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.early_stopping and not self.validation:
            raise ValueError(
                "early_stopping needs images to validate on; set train.validation above 0"
            )
        if (
            isinstance(self.learning_rate, Schedule)
            and self.learning_rate.warmup_epochs >= self.epochs
        ):
            raise ValueError("warmup_epochs has to be under train.epochs, or the rate never falls")
        if self.optimizer != "sgd":
            _refuse(self, "momentum", chosen=self.optimizer, instead="train.optimizer to sgd")
        if self.optimizer != "bop":
            _refuse(self, "bop", chosen=self.optimizer, instead="train.optimizer to bop")
        else:
            _refuse(
                self, "kernel_quantizer", chosen="bop", instead="train.optimizer to adam or sgd"
            )
