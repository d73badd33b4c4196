"""What is trained: a sweep, its trials, and what came of them.

Bounds stand in the types (annotated-types), so that the file readers check what is written here once.
"""

from collections.abc import Mapping
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
    BINARY = "binary"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Schedule:
    """A learning rate over time.

    `initial` decays to `initial * decay_rate ** (epoch / decay_epochs)`, or along half a cosine.
    """

    schedule: Literal["exponential", "cosine"]
    initial: Annotated[float, Gt(0)]
    decay_rate: Annotated[float, Gt(0), Le(1)] = 0.9
    decay_epochs: Annotated[float, Gt(0)] = 1.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Recipe:
    """How one trial is trained."""

    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)] = 100
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Gt(0)] | Schedule = 0.001
    loss: Literal["softmax_cross_entropy"] = "softmax_cross_entropy"
    initializer: Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"] = "glorot_uniform"
    validation: Annotated[float, Ge(0), Le(0.9)] = 0.1
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Resources:
    """What one trial may use of its node; `auto` is one GPU where the cluster has any, else none."""

    cpu: Annotated[float, Gt(0)] = 1.0
    gpu: Annotated[float, Ge(0)] | Literal["auto"] = "auto"
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Conversion:
    """What each trained model becomes.

    `tflite` is LCE's converter's file for ARM, the same door for every precision.
    """

    formats: Annotated[tuple[Literal["tflite"], ...], MinLen(1)] = ("tflite",)
    __pydantic_config__ = STRICT


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
    resources: Resources = Resources()
    convert: Conversion = Conversion()
    bench: BenchRequest = BenchRequest()  # noqa: RUF009  (frozen)
    __pydantic_config__ = STRICT


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
    """A sweep file as a plan needs it: its trials, each once, and how they are run and measured."""

    name: str
    trials: tuple[Trial, ...]
    resources: Resources
    protocols: tuple[Protocol, ...]


@dataclass(frozen=True)
class Epoch:
    """One epoch's numbers; `accuracy` and `validation_accuracy` are 0 to 1."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


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
