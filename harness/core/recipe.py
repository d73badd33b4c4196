"""The training recipe of a trial.

The types carry the bounds (annotated-types), from which the file readers check each value.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp


def _refuse_key(section: Any, key: str, setting: str, alternative: str) -> None:
    """Refuse a key that has no effect with `setting`: the same training would get another id.

    Raises ValueError if the key is not at its default.
    """
    if getattr(section, key) != getattr(type(section), key):
        raise ValueError(f"{key} has no effect with {setting}; remove it, or set {alternative}")


@dataclass(frozen=True)
class Schedule:
    """A learning rate over time.

    It falls from `initial` to `initial * decay_rate ** (epoch / decay_epochs)`: smoothly with
    `exponential`, once every `decay_epochs` with `step`. With `cosine` and `linear` it falls to 0
    at the last epoch, along half a cosine or a line.
    """

    schedule: Annotated[
        Literal["exponential", "step", "cosine", "linear"],
        KeyHelp("How the rate changes over time.", example="cosine"),
    ]
    initial: Annotated[float, Gt(0), KeyHelp("The highest rate.", example=0.001)]
    decay_rate: Annotated[
        float,
        Gt(0),
        Le(1),
        KeyHelp("With `exponential` and `step`: the factor of the rate after `decay_epochs`."),
    ] = 0.9
    decay_epochs: Annotated[
        float,
        Gt(0),
        KeyHelp(
            "With `exponential` and `step`: the time of one decay; may be a fraction.",
            unit="epochs",
        ),
    ] = 1.0
    warmup_epochs: Annotated[
        float,
        Ge(0),
        KeyHelp("The time in which the rate rises evenly from 0, before it falls.", unit="epochs"),
    ] = 0.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.schedule in ("cosine", "linear"):
            for key in ("decay_rate", "decay_epochs"):
                _refuse_key(
                    self, key, setting=self.schedule, alternative="schedule to exponential or step"
                )


Distribution = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
]
InputQuantizer = Literal["ste_sign", "approx_sign", "swish_sign"]
KernelQuantizer = Literal["ste_sign", "approx_sign", "swish_sign", "dorefa"]


@dataclass(frozen=True)
class Initializer:
    """The kernels' first values."""

    distribution: Annotated[
        Distribution, KeyHelp("The distribution of the kernels' first values.", example="he_normal")
    ]
    scale: Annotated[float, Gt(0), KeyHelp("The factor of its values.")] = 1.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Bop:
    """The optimizer that flips binary weights by a moving average (Helwegen et al. 2019)."""

    threshold: Annotated[float, Ge(0), KeyHelp("The mean gradient above which a weight flips.")] = (
        1e-8
    )
    gamma: Annotated[
        float, Gt(0), Le(1), KeyHelp("How quickly that mean follows the gradient.")
    ] = 1e-4
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class EarlyStopping:
    """The end of a training that no longer improves; the best epoch's weights are kept."""

    patience: Annotated[
        int,
        Ge(1),
        KeyHelp("How long training continues without a better validation accuracy.", unit="epochs"),
    ] = 10
    min_delta: Annotated[
        float,
        Ge(0),
        Lt(1),
        KeyHelp("The smallest improvement of the validation accuracy that counts, 0 to 1."),
    ] = 0.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Distillation:
    """Learning from the float twin's scores (Hinton, Vinyals and Dean 2015)."""

    weight: Annotated[
        float, Gt(0), Le(1), KeyHelp("The twin's share of the loss; the rest is the labels'.")
    ] = 0.5
    temperature: Annotated[
        float, Gt(0), KeyHelp("The divisor of the scores before their softmax.")
    ] = 4.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Recipe:
    """The training of one trial.

    Quantizers, `bop` and `distillation` affect the binary network alone.
    """

    epochs: Annotated[
        int,
        Ge(1),
        KeyHelp("How often every image is used for training.", unit="epochs", example=20),
    ]
    batch_size: Annotated[int, Ge(1), KeyHelp("Images in one step.", unit="images")] = 100
    optimizer: Annotated[
        Literal["adam", "sgd", "bop"],
        KeyHelp("The optimizer; `bop` trains binary kernels by Bop and the rest by Adam."),
    ] = "adam"
    learning_rate: Annotated[
        Annotated[float, Gt(0)] | Schedule,
        KeyHelp("A constant rate, or a schedule.", example=0.003),
    ] = 0.001
    loss: Annotated[
        Literal["softmax_cross_entropy", "squared_hinge"], KeyHelp("The loss, computed on scores.")
    ] = "softmax_cross_entropy"
    initializer: Annotated[
        Distribution | Initializer,
        KeyHelp(
            "The kernels' first values: a distribution, or one with a scale.", example="he_normal"
        ),
    ] = "glorot_uniform"
    validation: Annotated[
        float,
        Ge(0),
        Le(0.9),
        KeyHelp("The share of the training images that is held out, the same for every trial."),
    ] = 0.1
    momentum: Annotated[float, Ge(0), Lt(1), KeyHelp("The momentum of `sgd`.", example=0.9)] = 0.0
    bop: Annotated[Bop, KeyHelp("The settings of `bop`.", example={"gamma": 0.001})] = Bop()
    input_quantizer: Annotated[InputQuantizer, KeyHelp("What binarizes a layer's input.")] = (
        "ste_sign"
    )
    kernel_quantizer: Annotated[
        KernelQuantizer, KeyHelp("What binarizes a layer's weights; `bop` needs none.")
    ] = "ste_sign"
    early_stopping: Annotated[
        EarlyStopping | None,
        KeyHelp("Ends a training that no longer improves.", example={"patience": 10}),
    ] = None
    distillation: Annotated[
        Distillation | None,
        KeyHelp("The binary network also learns from its float twin.", example={"weight": 0.5}),
    ] = None
    augmentation: Annotated[
        Literal["none", "flip_and_shift"], KeyHelp("How training images are varied.")
    ] = "none"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.early_stopping and not self.validation:
            raise ValueError("early_stopping needs validation images; set train.validation above 0")
        if (
            isinstance(self.learning_rate, Schedule)
            and self.learning_rate.warmup_epochs >= self.epochs
        ):
            raise ValueError(
                "warmup_epochs must be less than train.epochs, or the learning rate never falls"
            )
        if self.optimizer != "sgd":
            _refuse_key(
                self, "momentum", setting=self.optimizer, alternative="train.optimizer to sgd"
            )
        if self.optimizer != "bop":
            _refuse_key(self, "bop", setting=self.optimizer, alternative="train.optimizer to bop")
        else:
            _refuse_key(
                self,
                "kernel_quantizer",
                setting="bop",
                alternative="train.optimizer to adam or sgd",
            )
