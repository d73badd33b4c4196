"""What is trained: a sweep, its trials, and what came of them.

Bounds stand in the types (annotated-types), so that the file readers check what is written here once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from harness.core.bench import STRICT, BenchRequest, Protocol
from harness.core.errors import Reason
from harness.core.ids import content_id, essential


class Precision(str, Enum):
    """What the weights and activations are deployed as."""

    FLOAT32 = "float32"
    INT8 = "int8"
    BINARY = "binary"

    def __str__(self) -> str:
        return self.value

    @property
    def trained(self) -> "Precision":
        """What the network trains as: int8 is its float twin, quantised when it is converted."""
        return Precision.FLOAT32 if self is Precision.INT8 else self


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


Distribution = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]
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
            raise ValueError("early_stopping needs images to validate on; set train.validation above 0")
        if isinstance(self.learning_rate, Schedule) and self.learning_rate.warmup_epochs >= self.epochs:
            raise ValueError("warmup_epochs has to be under train.epochs, or the rate never falls")


@dataclass(frozen=True)
class Resources:
    """What one trial may use of its node; `auto` is one GPU where the cluster has any, else none.

    A training that has gone on for `checkpoint_s` since its last checkpoint leaves another.
    """

    cpu: Annotated[float, Gt(0)] = 1.0
    gpu: Annotated[float, Ge(0)] | Literal["auto"] = "auto"
    checkpoint_s: Annotated[float, Gt(0)] = 300.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Conversion:
    """What each trained model becomes.

    `tflite` is LCE's converter's file for ARM, the same door for every precision.
    """

    formats: Annotated[tuple[Literal["tflite"], ...], MinLen(1)] = ("tflite",)
    __pydantic_config__ = STRICT


Number = int | float
Objective = Literal["accuracy", "size"]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: whole ones where both are.

    By `step` where there is one; evenly in their logarithm where `log`.
    """

    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Gt(0)] | None = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low has to be under high")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("a logarithmic range starts above 0 and has no step")


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020).

    After `grace_epochs`, and after every `reduction` times as many, only the best in `reduction` go on.
    """

    grace_epochs: Annotated[int, Ge(1)] = 1
    reduction: Annotated[Number, Gt(1)] = 3
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Search:
    """How a sweep looks for its best points.

    `grid` tries every point of the file. `random` and `optuna` try `trials` points of `space`, which has a list of
    choices or a Range for each key. Objectives are means over a point's precisions and seeds: the validation accuracy,
    as high as can be, and the artifact's size. After `budget_s` seconds nothing is begun or gone on with.
    """

    method: Literal["grid", "random", "optuna"] = "grid"
    trials: Annotated[int, Ge(1)] | None = None
    space: Annotated[Mapping[str, Annotated[tuple[Any, ...], MinLen(1)] | Range], MinLen(1)] | None = None
    objectives: Annotated[tuple[Objective, ...], MinLen(1)] = ("accuracy",)
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    budget_s: Annotated[float, Gt(0)] | None = None
    asha: Asha | None = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        sampled = self.method != "grid"
        if sampled != (self.space is not None) or sampled != (self.trials is not None):
            raise ValueError("random and optuna need trials and a space, and grid takes neither")
        if self.asha and self.objectives != ("accuracy",):
            raise ValueError("asha looks at accuracy alone; take size out of objectives, or leave asha out")


@dataclass(frozen=True)
class SweepPoint:
    """A sweep file with one set of its swept values put in."""

    name: Annotated[str, MinLen(1), MaxLen(200)]
    dataset: str
    model: Mapping[str, Any]
    train: Recipe
    precision: Annotated[tuple[Precision, ...], MinLen(1)]
    seeds: Annotated[tuple[Annotated[int, Ge(0), Lt(2**32)], ...], MinLen(1)] = (0,)  # numpy's range
    grid: Annotated[Mapping[str, Annotated[tuple[Any, ...], MinLen(1)]], MinLen(1)] | None = None
    points: Annotated[tuple[Mapping[str, Any], ...], MinLen(1)] | None = None
    search: Search = Search()
    resources: Resources = Resources()
    convert: Conversion = Conversion()
    bench: BenchRequest = BenchRequest()  # noqa: RUF009  (frozen)
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.search.space is not None and (self.grid or self.points):
            raise ValueError("search has a space of its own; move what grid and points sweep into it")
        if (self.search.space or self.search.asha) and not self.train.validation:
            raise ValueError("search needs images to validate on; set train.validation above 0")


@dataclass(frozen=True)
class Trial:
    """One training run: one set of hyperparameters and one seed.

    `parameters` are all of the architecture's, `chosen` those that are not its defaults: only they make the id,
    so that a parameter that a later version adds changes none.
    """

    architecture: str
    parameters: Mapping[str, Any]
    chosen: Mapping[str, Any]
    precision: Precision
    dataset: str
    recipe: Recipe
    seed: int
    convert: Conversion = Conversion()

    @cached_property
    def id(self) -> str:
        return content_id({**self._twin_identity(), "precision": self.precision.value})

    @cached_property
    def twin(self) -> str:
        """The same for every precision of one set of hyperparameters: what `compare` matches by."""
        return content_id(self._twin_identity())

    @cached_property
    def training(self) -> str:
        """The same for trials that are trained together.

        One training serves a float network and its int8 twin, and a student learns beside its teacher.
        """
        if self.recipe.distillation:
            return self.twin
        return content_id({**self._twin_identity(), "precision": self.precision.trained.value})

    def _twin_identity(self) -> dict[str, Any]:
        return {
            "model": {"name": self.architecture, **self.chosen},
            "dataset": self.dataset,
            "train": essential(self.recipe),
            "seed": self.seed,
            "convert": essential(self.convert),
        }


@dataclass(frozen=True)
class Sweep:
    """A sweep file as a plan needs it: its trials, each once, and how they are run and measured.

    `sources` tells, by a trial's data set, where it is read from: a known name, or the path of the user's own.
    """

    name: str
    trials: tuple[Trial, ...]
    resources: Resources
    protocols: tuple[Protocol, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    search: Search = Search()


@dataclass(frozen=True)
class Epoch:
    """One epoch's numbers; `accuracy` and `validation_accuracy` are 0 to 1."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


def validation_accuracy(recipe: Recipe, curve: Sequence[Epoch]) -> float | None:
    """0 to 1, of the epoch whose weights count: the best one where training stops early, else the last."""
    known = [epoch.validation_accuracy for epoch in curve if epoch.validation_accuracy is not None]
    if not known:
        return None
    return max(known) if recipe.early_stopping else known[-1]


@dataclass(frozen=True)
class Anatomy:
    """What an artifact is made of: operators by name, and multiply-accumulates of one inference by width."""

    operators: Mapping[str, int]
    binary_macs: int
    float_macs: int


@dataclass(frozen=True)
class Artifact:
    """A converted model: its bytes are named by `sha256`.

    `accuracy` is its own, 0 to 1, from its interpreter on the test set; `agreement` the share of test images
    on which its class is the trained model's. `correct` says which images it got right, in the test set's order:
    their number in 4 bytes, big-endian, then a bit for each, the first in the highest bit (`numpy.packbits`).
    """

    sha256: str
    format: str
    size_bytes: int
    anatomy: Anatomy
    accuracy: float | None = None
    agreement: float | None = None
    correct: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Timings:
    """Where one trial's time went, in seconds; `import_s` is 0 on a worker that had trained before."""

    waiting_s: float = 0.0
    import_s: float = 0.0
    data_s: float = 0.0
    fit_s: float = 0.0
    convert_s: float = 0.0
    evaluate_s: float = 0.0

    @property
    def work_s(self) -> float:
        return self.data_s + self.fit_s + self.convert_s + self.evaluate_s


@dataclass(frozen=True)
class TrialOutcome:
    """A finished trial.

    `accuracy` is the trained model's on the test set. By the artifacts' SHA-256: `files` holds their bytes, `probes`
    a few test images with their interpreter's own outputs, to ask a device's tool for (`bench/answers.py`).
    """

    trial_id: str
    accuracy: float
    params: int
    curve: tuple[Epoch, ...]
    artifacts: tuple[Artifact, ...]
    files: Mapping[str, bytes] = field(repr=False)
    timings: Timings
    node: str
    versions: Mapping[str, str]
    probes: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Failure:
    """Why a trial or a case failed, in a sentence; `log` holds what is known beyond it."""

    reason: Reason
    message: str
    log: str = ""
