"""Sweeps, their trials, and the trials' results.

The types carry the bounds (annotated-types), from which the file readers check each value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from harness.core.bench import STRICT, BenchRequest, Protocol
from harness.core.errors import Reason
from harness.core.ids import content_id, omit_defaults
from harness.core.key_help import KeyHelp
from harness.core.quality import Warning
from harness.core.recipe import Recipe
from harness.core.search import Search

Seed: TypeAlias = Annotated[int, Ge(0), Lt(2**32)]
"""A seed within numpy's range."""


class Precision(str, Enum):
    """The number format of a deployed network's weights and activations."""

    FLOAT32 = "float32"
    INT8 = "int8"
    BINARY = "binary"

    def __str__(self) -> str:
        return self.value

    @property
    def trained(self) -> "Precision":
        """The precision of training: int8 is its float twin, quantised on conversion."""
        return Precision.FLOAT32 if self is Precision.INT8 else self


@dataclass(frozen=True)
class Resources:
    """The share of a node that one trial may use, and how often it leaves a checkpoint."""

    cpu: Annotated[float, Gt(0), KeyHelp("The CPUs of one trial.", unit="cores")] = 1.0
    gpu: Annotated[
        Annotated[float, Ge(0), Le(1)] | Literal["auto"],
        KeyHelp(
            "The GPU of one trial, a fraction to share one; `auto` is one if the cluster has any.",
            unit="GPUs",
            example=0.5,
        ),
    ] = "auto"
    checkpoint_s: Annotated[
        float, Gt(0), KeyHelp("How long a training may go without leaving a checkpoint.", unit="s")
    ] = 300.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Conversion:
    """The formats that each trained model is converted to.

    `tflite` is the output of LCE's converter for ARM, for every precision.
    """

    formats: Annotated[
        tuple[Literal["tflite"], ...],
        MinLen(1),
        KeyHelp("What each trained model is converted to."),
    ] = ("tflite",)
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class SweepPoint:
    """A sweep file in which every swept key has one of its values."""

    name: Annotated[
        str,
        MinLen(1),
        MaxLen(200),
        KeyHelp("The sweep's name, as stored in every row.", example="quickstart"),
    ]
    dataset: Annotated[str, KeyHelp("A known data set, or the path of your own.", example="digits")]
    model: Annotated[
        Mapping[str, Any],
        KeyHelp("A network and its parameters.", example={"name": "mlp", "layers": 3}),
    ]
    train: Annotated[
        Recipe, KeyHelp("The recipe: how each trial is trained.", example={"epochs": 20})
    ]
    precision: Annotated[
        tuple[Precision, ...],
        MinLen(1),
        KeyHelp(
            "The precisions that each point is trained and deployed in.",
            example=["binary", "float32"],
        ),
    ]
    seeds: Annotated[
        tuple[Seed, ...],
        MinLen(1),
        KeyHelp("The seeds that each point is trained with.", example=[0, 1, 2]),
    ] = (0,)
    grid: Annotated[
        Annotated[Mapping[str, Annotated[tuple[Any, ...], MinLen(1)]], MinLen(1)] | None,
        KeyHelp(
            "For each swept key, the values to try, in every combination.",
            example={"model.units": [64, 256]},
        ),
    ] = None
    points: Annotated[
        Annotated[tuple[Mapping[str, Any], ...], MinLen(1)] | None,
        KeyHelp(
            "Single points: for each, the values of its swept keys.",
            example=[{"train.optimizer": "sgd"}],
        ),
    ] = None
    search: Annotated[
        Search,
        KeyHelp(
            "How points are chosen, instead of a grid.", example={"method": "random", "trials": 24}
        ),
    ] = Search()  # noqa: RUF009  (frozen)
    resources: Annotated[
        Resources, KeyHelp("What one trial may use of its node.", example={"cpu": 2, "gpu": 0.5})
    ] = Resources()
    convert: Annotated[
        Conversion, KeyHelp("How trained models are converted.", example={"formats": ["tflite"]})
    ] = Conversion()
    bench: Annotated[
        BenchRequest, KeyHelp("How the artifacts are measured.", example={"protocol": "quick"})
    ] = BenchRequest()  # noqa: RUF009  (frozen)
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.search.space is not None and (self.grid or self.points):
            raise ValueError("search has a space; move the keys of grid and points into it")
        if (self.search.space or self.search.asha) and not self.train.validation:
            raise ValueError("search needs validation images; set train.validation above 0")


_omit_defaults = lru_cache(omit_defaults)  # the trials of a sweep share recipes


@dataclass(frozen=True)
class Trial:
    """One training run: one set of hyperparameters and one seed.

    `parameters` are all of the architecture's; `chosen` are those that differ from its defaults.
    Only `chosen` enters the id, so a parameter that a later version adds changes no id.
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
        """An id shared by all precisions of one set of hyperparameters; `compare` matches by it."""
        return content_id(self._twin_identity())

    @cached_property
    def training(self) -> str:
        """An id that trials share if they are trained together.

        One training serves a float network and its int8 twin. With distillation, student and
        teacher are trained together.
        """
        if self.recipe.distillation:
            return self.twin
        return content_id({**self._twin_identity(), "precision": self.precision.trained.value})

    def _twin_identity(self) -> dict[str, Any]:
        return {
            "model": {"name": self.architecture, **self.chosen},
            "dataset": self.dataset,
            "train": _omit_defaults(self.recipe),
            "seed": self.seed,
            "convert": _omit_defaults(self.convert),
        }


@dataclass(frozen=True)
class Sweep:
    """A sweep file, resolved: its distinct trials, and how they are trained and measured.

    `sources` maps a trial's data set to where it is read from: a built-in name, or a path.
    """

    name: str
    trials: tuple[Trial, ...]
    resources: Resources
    protocols: tuple[Protocol, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    search: Search = Search()  # noqa: RUF009  (frozen)


@dataclass(frozen=True)
class Epoch:
    """The numbers of one epoch; `accuracy` and `validation_accuracy` are 0 to 1."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


def validation_accuracy(recipe: Recipe, curve: Sequence[Epoch]) -> float | None:
    """Return the accuracy, 0 to 1, of the epoch whose weights are kept.

    That is the best epoch with early stopping, and the last one without. None without validation.
    """
    accuracies = [
        epoch.validation_accuracy for epoch in curve if epoch.validation_accuracy is not None
    ]
    if not accuracies:
        return None
    return max(accuracies) if recipe.early_stopping else accuracies[-1]


@dataclass(frozen=True)
class Anatomy:
    """An artifact's operator counts, and the multiply-accumulates of one inference.

    They are None if the work of an operator or the trips of a loop are unknown. `signature` names
    the signature that is run; it is empty if the first subgraph has none, and None if unknown.
    """

    operators: Mapping[str, int]
    binary_macs: int | None
    float_macs: int | None
    signature: str | None = None


@dataclass(frozen=True)
class Artifact:
    """A converted model, named by the SHA-256 of its bytes.

    - `accuracy`: its own on the test set, 0 to 1, as its interpreter computes it.
    - `agreement`: the share of test images for which it and the trained model name one class.
    - `correct`: the images that it classifies correctly, in the test set's order. The number of
      images comes first, in 4 bytes, big-endian. A bit for each follows, the first one in the
      highest bit (`numpy.packbits`).
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
    """The time that each step of a trial took; `import_s` is 0 if its worker trained before."""

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
    """The outcome of a finished trial.

    `accuracy` is the trained model's on the test set. `processors` is what TensorFlow saw, and
    `warnings` are reasons to distrust the network. `files` and `probes` are keyed by the
    artifacts' SHA-256. A file is an artifact's bytes. A probe is a few test images with the
    interpreter's outputs, to compare a device's with (`bench/answers.py`).
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
    processors: str | None = None
    warnings: tuple[Warning, ...] = ()
    probes: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Failure:
    """The failure of a trial or a case: a reason, a sentence, and a log with the details."""

    reason: Reason
    message: str
    log: str = ""
