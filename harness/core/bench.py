"""What is measured: devices, tools, protocols, cases, runs and measurements."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Final, Literal

from annotated_types import Ge, Le, MinLen

from harness.core.ids import content_id, essential, plain

STRICT: Final = {
    "extra": "forbid",
    "allow_inf_nan": False,
}  # how the file readers take these types: an unknown key is an error, and so is infinity


@dataclass(frozen=True)
class Protocol:
    """How a case is measured.

    `processes` of the tool, each `warmup_*` first, then at least `num_runs` runs and `min_secs` seconds.
    """

    name: str
    threads: int = 1
    warmup_runs: int = 1
    warmup_min_secs: float = 0.5
    num_runs: int = 50
    min_secs: float = 1.0
    max_secs: float = 150.0
    processes: int = 10

    @property
    def timeout_s(self) -> float:
        """Far more than a process may take by its own limits: start-up, warm-up and runs each end by `max_secs`."""
        return 60 + 2 * self.max_secs


# Six processes are the fewest whose range holds the median with 95 % probability (1 - 2 * 0.5**6 = 96.9 %).
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("quick", warmup_min_secs=0.1, num_runs=20, min_secs=0.2, processes=6),
        Protocol("standard", processes=10),
        Protocol("thorough", num_runs=100, min_secs=3.0, processes=20),
    )
}


MOST_THREADS = 1024


@dataclass(frozen=True)
class BenchRequest:
    """The part of a sweep file that says how its artifacts are measured."""

    protocol: Literal["quick", "standard", "thorough"] = "standard"
    threads: Annotated[tuple[Annotated[int, Ge(1), Le(MOST_THREADS)], ...], MinLen(1)] = (1,)
    __pydantic_config__ = STRICT

    def protocols(self) -> tuple[Protocol, ...]:
        return tuple(replace(PROTOCOLS[self.protocol], threads=threads) for threads in dict.fromkeys(self.threads))


@dataclass(frozen=True)
class Tool:
    """What runs on the device: `sha256` of its program, and the interpreter that it found there, if it needs one."""

    name: str
    sha256: str
    interpreter: str = ""


@dataclass(frozen=True)
class Case:
    """artifact × device × tool × protocol: what is planned, retried and resumed. `cpus`: the tool's affinity."""

    artifact: str
    device: str
    tool: Tool
    protocol: Protocol
    cpus: tuple[int, ...] = ()

    @cached_property
    def id(self) -> str:
        content = {
            "artifact": self.artifact,
            "device": self.device,
            "tool": plain(self.tool),
            "protocol": essential(self.protocol),
        }
        return content_id({**content, "cpus": plain(self.cpus)} if self.cpus else content)


@dataclass(frozen=True)
class Timing:
    """A line of the tool's: `count` runs, in microseconds; where only one ran, its time is all of them."""

    count: int
    first_us: float
    min_us: float
    max_us: float
    avg_us: float
    std_us: float | None


@dataclass(frozen=True)
class ToolLog:
    """What one process of the tool printed. A number that it did not print is None."""

    inference: Timing
    warmup: Timing | None = None
    init_us: float | None = None
    peak_memory_bytes: int | None = None
    echo: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Process:
    """One process of the tool, as it ended: `seconds` by the device's clock, its hottest sensor, its raw output."""

    number: int
    started_at: str
    seconds: float
    exit_code: int
    stdout: str
    stderr: str
    temperature_c: float | None = None
    artifact_sha256: str = ""


@dataclass(frozen=True)
class Run:
    """One process of the tool that told its numbers: its raw output is kept for ever."""

    process: Process
    log: ToolLog


@dataclass(frozen=True)
class Summary:
    """A measurement's numbers over its runs: `latency_us` is the median of the runs' averages, with a 95 % interval."""

    latency_us: float
    latency_low_us: float | None
    latency_high_us: float | None
    runs: int
    peak_memory_bytes: int | None
    quality: str


@dataclass(frozen=True)
class Measurement:
    """One case measured once."""

    case: Case
    artifact_sha256: str
    runs: tuple[Run, ...]
    summary: Summary
    facts: dict[str, str]
    measured_at: str
