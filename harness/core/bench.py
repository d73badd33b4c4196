"""Values of a benchmark: tools, protocols, cases, runs and measurements."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from harness.core.ids import content_id, omit_defaults, to_plain
from harness.core.key_help import KeyHelp
from harness.core.quality import Warning

MAX_THREADS = 1024
MAX_PROCESSES = 10_000
STRICT: Final = {"extra": "forbid", "allow_inf_nan": False}
"""The file readers' rules for these types: unknown keys, infinity and NaN are errors."""


@dataclass(frozen=True)
class Gates:
    """Conditions under which a process starts and counts; `bench/quality.py` has the reasons.

    The harness also waits for a device whose screen is on, or that is throttled. A process that
    was disturbed nevertheless is kept, marked, and repeated.
    """

    max_wait_s: Annotated[
        float,
        Ge(0),
        KeyHelp(
            "The longest total wait in a batch; after it, the device is measured regardless.",
            unit="s",
        ),
    ] = 120.0
    max_temperature_c: Annotated[
        float, Gt(0), KeyHelp("Wait while the device is hotter than this.", unit="°C")
    ] = 60.0
    max_busy: Annotated[
        float,
        Gt(0),
        Le(1),
        KeyHelp("Wait while other programs use a larger share of the CPU time than this, 0 to 1."),
    ] = 0.1
    min_battery: Annotated[
        int, Ge(0), Le(100), KeyHelp("Wait while a phone's battery has less charge.", unit="%")
    ] = 20
    unplugged: Annotated[bool, KeyHelp("Wait while a phone is charging, which warms it up.")] = (
        False
    )
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Protocol:
    """The way in which a case is measured.

    Defaults are those of the first version, so that its cases keep their ids.
    """

    name: Annotated[
        str,
        MinLen(1),
        MaxLen(32),
        KeyHelp("The protocol's name, as stored in every row.", example="cool"),
    ]
    threads: Annotated[
        int, Ge(1), Le(MAX_THREADS), KeyHelp("The tool's threads.", unit="threads")
    ] = 1
    warmup_runs: Annotated[
        int, Ge(0), KeyHelp("The fewest inferences before those that count.", unit="runs")
    ] = 1
    warmup_min_secs: Annotated[float, Ge(0), KeyHelp("The shortest warm-up.", unit="s")] = 0.5
    num_runs: Annotated[int, Ge(1), KeyHelp("The fewest inferences of a process.", unit="runs")] = (
        50
    )
    min_secs: Annotated[
        float, Ge(0), KeyHelp("The shortest time of a process's inferences.", unit="s")
    ] = 1.0
    max_secs: Annotated[
        float, Gt(0), KeyHelp("The longest time of a process's inferences.", unit="s")
    ] = 150.0
    processes: Annotated[
        int, Ge(1), Le(MAX_PROCESSES), KeyHelp("The fewest processes that count.", unit="processes")
    ] = 10
    max_processes: Annotated[
        int,
        Ge(0),
        Le(MAX_PROCESSES),
        KeyHelp(
            "The largest number of processes, while the interval is wider than `target`.",
            unit="processes",
        ),
    ] = 0
    target: Annotated[
        float,
        Ge(0),
        Lt(1),
        KeyHelp(
            "More processes run until the 95 % interval is narrower than this share of the median."
        ),
    ] = 0.0
    order: Annotated[
        Literal["interleaved", "sequential"],
        KeyHelp("Cases in shuffled blocks (`interleaved`), or one after the other."),
    ] = "sequential"
    gates: Annotated[
        Gates | None,
        KeyHelp(
            "Conditions that the device must meet before a process starts.",
            example={"max_busy": 0.05},
        ),
    ] = None
    canary: Annotated[bool, KeyHelp("Measure a small model before and after each batch.")] = False
    answers: Annotated[
        bool, KeyHelp("Compare the device's outputs with the interpreter's on this machine.")
    ] = False
    __pydantic_config__ = STRICT

    @property
    def timeout_s(self) -> float:
        """A limit well above what a process may take.

        Its start-up, warm-up and runs each end within `max_secs`.
        """
        return 60 + 2 * self.max_secs

    @property
    def process_limit(self) -> int:
        """The largest number of processes that may count."""
        return max(self.processes, self.max_processes)


# Six processes are the fewest whose range contains the median with a probability of 95 %:
# 1 - 2 * 0.5**6 = 96.9 %.
PROTOCOLS = {
    protocol.name: replace(protocol, order="interleaved", canary=True, answers=True)
    for protocol in (
        Protocol(
            "quick",
            warmup_min_secs=0.1,
            num_runs=20,
            min_secs=0.2,
            processes=6,
            max_processes=12,
            target=0.10,
            gates=Gates(max_wait_s=5.0),
        ),
        Protocol("standard", processes=10, max_processes=40, target=0.02, gates=Gates()),
        Protocol(
            "thorough",
            num_runs=100,
            min_secs=3.0,
            processes=20,
            max_processes=100,
            target=0.01,
            gates=Gates(max_wait_s=600.0),
        ),
    )
}


@dataclass(frozen=True)
class BenchRequest:
    """The part of a sweep file about measuring."""

    protocol: Annotated[
        Literal["quick", "standard", "thorough"] | Mapping[str, Any],
        KeyHelp("The name of a protocol, or its settings."),
    ] = "standard"
    threads: Annotated[
        tuple[Annotated[int, Ge(1), Le(MAX_THREADS)], ...],
        MinLen(1),
        KeyHelp("Thread counts to measure.", unit="threads", example=[1, 4]),
    ] = (1,)
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Tool:
    """The program that runs a model on the device.

    `sha256` is the program's; `interpreter` names the one that it uses there, if it needs any.
    """

    name: str
    sha256: str
    interpreter: str = ""


@dataclass(frozen=True)
class ModelInput:
    """The values that the tool feeds to one input of a model: random ones, of this shape.

    They are from `low` to `high`, both included. None means the tool's own range: -0.5 to 0.5 for
    floats, 0 to 99 for indices. If `values` is not empty, it is the SHA-256 of the file with the
    values instead: little-endian, in C order. If `resized`, the model file has another shape, or
    leaves a size open that is not 1 here.
    """

    name: str
    shape: tuple[int, ...]
    low: int | None = None
    high: int | None = None
    values: str = ""
    resized: bool = False

    @property
    def bounds(self) -> tuple[int, int] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        values = "" if self.bounds is None else f" from {self.low} to {self.high}"
        values = f" of {self.values[:12]}" if self.values else values
        return f"{self.name}:{','.join(map(str, self.shape))}{values}"


def parse_inputs(text: str | None) -> tuple[ModelInput, ...]:
    """Return the inputs from JSON; none from None, which means that the tool chooses them."""
    inputs = json.loads(text or "[]")
    return tuple(ModelInput(**{**entry, "shape": tuple(entry["shape"])}) for entry in inputs)


@dataclass(frozen=True)
class Case:
    """An artifact, a device, a tool and a protocol: the unit that is planned, retried and resumed.

    `cpus` is the tool's affinity. `inputs` are all inputs of the model, in its order; none means
    that the tool chooses their values, in the model's own shapes.
    """

    artifact: str
    device: str
    tool: Tool
    protocol: Protocol
    cpus: tuple[int, ...] = ()
    inputs: tuple[ModelInput, ...] = ()

    @cached_property
    def id(self) -> str:
        content = {
            "artifact": self.artifact,
            "device": self.device,
            "tool": to_plain(self.tool),
            "protocol": omit_defaults(self.protocol),
        }
        if self.cpus:
            content["cpus"] = to_plain(self.cpus)
        if self.inputs:
            content["inputs"] = omit_defaults(self.inputs)
        return content_id(content)


@dataclass(frozen=True)
class Timing:
    """Times of `count` runs, from a line of the tool's log, in microseconds.

    With a single run, all of them are its time.
    """

    count: int
    first_us: float
    min_us: float
    max_us: float
    avg_us: float
    std_us: float | None
    p5_us: float | None = None
    median_us: float | None = None
    p95_us: float | None = None


@dataclass(frozen=True)
class ToolLog:
    """The numbers that one process of the tool printed; None if it did not print one."""

    inference: Timing
    warmup: Timing | None = None
    init_us: float | None = None
    peak_memory_bytes: int | None = None
    resident_memory_bytes: int | None = None
    echo: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchSlot:
    """A process's slot in its batch: the block, and the position within the block, from 0."""

    batch: str
    block: int
    position: int


@dataclass(frozen=True)
class Process:
    """A process of the tool that has ended, with its raw output.

    `seconds` is by the device's clock. `watch` holds the samples of the device's sensors during
    the process, in the format of `bench/watch.py`.
    """

    number: int
    started_at: str
    seconds: float
    exit_code: int
    stdout: str
    stderr: str
    watch: str = ""
    artifact_sha256: str = ""
    slot: BatchSlot | None = None


@dataclass(frozen=True)
class SensorSummary:
    """The readings of a device's sensors during a process; None if it has no such sensor.

    - `temperature_c`: the highest.
    - `frequency_khz`: the average, over the samples, of the slowest core in use.
    - `throttled`: whether the system reported that it slowed down.
    - `busy`: the share of all cores' time that other programs used, 0 to 1.
    - `power_uw`: the average while inferences ran, idle power included.
    """

    temperature_c: float | None = None
    frequency_khz: float | None = None
    throttled: bool | None = None
    busy: float | None = None
    power_uw: float | None = None


@dataclass(frozen=True)
class Run:
    """A process of the tool whose log could be read; its raw output is never deleted.

    `disturbed` is the reason why it does not count, or empty if it does.
    """

    process: Process
    log: ToolLog
    sensors: SensorSummary = SensorSummary()
    disturbed: str = ""


@dataclass(frozen=True)
class Summary:
    """A measurement's numbers, over its runs.

    `latency_us` is the median of the runs' averages, with a 95 % interval. `runs` is the number
    of runs that count, `disturbed_runs` of those that do not. `energy_uj` is the energy of one
    inference, net of the idle device's.
    """

    latency_us: float
    latency_low_us: float | None
    latency_high_us: float | None
    runs: int
    peak_memory_bytes: int | None
    warnings: tuple[Warning, ...] = ()
    disturbed_runs: int = 0
    temperature_c: float | None = None
    frequency_khz: float | None = None
    energy_uj: float | None = None
    energy_low_uj: float | None = None
    energy_high_uj: float | None = None


@dataclass(frozen=True)
class Measurement:
    """A case that was measured once."""

    case: Case
    artifact_sha256: str
    runs: tuple[Run, ...]
    summary: Summary
    facts: dict[str, str]
    measured_at: str


def with_threads(protocol: Protocol, threads: Iterable[int]) -> tuple[Protocol, ...]:
    """Return the protocol once for each distinct thread count."""
    return tuple(replace(protocol, threads=count) for count in dict.fromkeys(threads))
