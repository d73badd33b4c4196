"""What is seen of a device and its tool beside the measurements: batches, canaries, answers, kernels, operators."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from harness.core.bench import Tool


@dataclass(frozen=True)
class Batch:
    """Cases measured together, in an order that follows from `id`. `waited_for`: what the gates were closed by."""

    id: str
    device: str
    started_at: str
    ordering: Literal["interleaved", "sequential"]
    cases: int
    waited_s: float = 0.0
    waited_for: str = ""
    idle_power_uw: float | None = None


@dataclass(frozen=True)
class Canary:
    """The same small model before or after a batch; without a latency where it could not run, as `message` says."""

    batch: str
    device: str
    moment: Literal["before", "after"]
    measured_at: str
    artifact: str
    tool: Tool
    cpus: tuple[int, ...]
    latency_us: float | None = None
    temperature_c: float | None = None
    frequency_khz: float | None = None
    disturbed: str = ""
    message: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class AnswerCheck:
    """Whether a device's tool answers a few images as the interpreter here does.

    `largest_difference` is over all outputs; both are None where the tool can't tell, as `message` says.
    """

    artifact: str
    device: str
    tool: Tool
    images: int
    largest_difference: float | None
    classes_agree: bool | None
    message: str
    checked_at: str


class KernelVerdict(str, Enum):
    OPTIMISED = "optimised"
    REFERENCE = "reference"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Kernels:
    """Times of the binary canary by LCE's reference kernels over those without; with a 95 % interval."""

    device: str
    tool: Tool
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    verdict: KernelVerdict
    message: str
    checked_at: str


class Role(str, Enum):
    """What an operator is for, in a binarized network. The float layers are those of int8 models too."""

    BINARY_CONVOLUTION = "binary convolution"
    QUANTISE = "quantise"
    FLOAT_LAYER = "float layer"
    OTHER = "other"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class OperatorTime:
    """A row of the table, numbered from 0 in the order of running.

    `avg_us` is that of one of its `calls` in an inference; `share` is of the inference's time, all calls together, 0 to
    1. A row that did no work while inferences ran, such as allocating memory, has 0 calls.
    """

    number: int
    type: str
    name: str
    avg_us: float
    share: float
    calls: int
    role: Role
