"""Observations of a device and its tool, apart from the measurements themselves."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from harness.core.bench import Tool


@dataclass(frozen=True)
class Batch:
    """Cases measured together, in an order that follows from `id`.

    `waited_for` is the condition that closed the gates, if any did.
    """

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
    """A small model, always the same, measured before or after a batch.

    It has no latency if it could not run; `message` gives the reason.
    """

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
    """A comparison of a device's outputs for a few images with this machine's interpreter.

    `largest_difference` is over all outputs. It and `classes_agree` are None if the outputs could
    not be compared. `classes_agree` alone is None if rounding may have changed whole numbers.
    `message` gives the reason.
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
    """The kernels that a tool uses for binary layers."""

    OPTIMISED = "optimised"
    REFERENCE = "reference"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Kernels:
    """A check of which kernels a tool uses.

    `ratio` is the time of the binary canary with LCE's reference kernels over that without them,
    with a 95 % interval.
    """

    device: str
    tool: Tool
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    verdict: KernelVerdict
    message: str
    checked_at: str


class Role(str, Enum):
    """The role of an operator in a binarized network. Float layers include those of int8 models."""

    BINARY_CONVOLUTION = "binary convolution"
    QUANTISE = "quantise"
    FLOAT_LAYER = "float layer"
    OTHER = "other"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class OperatorTime:
    """The time of one operator, a row of the tool's profile, numbered from 0 in running order.

    `avg_us` is the average of one call, of which an inference makes `calls`. `share`, 0 to 1, is
    that of all calls in the inference's time. A row outside inferences, such as memory
    allocation, has 0 calls.
    """

    number: int
    type: str
    name: str
    avg_us: float
    share: float
    calls: int
    role: Role
