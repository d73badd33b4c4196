"""A small fixed model, measured before and after each batch: how the device itself is doing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Literal

from harness.bench import CANARIES
from harness.bench.quality import check_canary
from harness.core.bench import Case, Gates, Protocol
from harness.core.errors import CaseFailed, DeviceLost
from harness.core.ids import sha256_of_file
from harness.core.observations import Canary
from harness.core.quality import Warning
from harness.core.units import format_us
from harness.fleet.process import DeviceSession, read_run, run_process
from harness.store.database import now

FLOAT = CANARIES / "float.tflite"
_PROTOCOL = Protocol("canary", warmup_min_secs=0.1, num_runs=20, min_secs=0.3, processes=1)


@cache
def artifact_of(file: Path) -> str:
    return sha256_of_file(file)


def canary_case(session: DeviceSession, file: Path, gates: Gates | None = None) -> Case:
    """`gates` decide what disturbs it."""
    protocol = replace(_PROTOCOL, gates=gates)
    return Case(
        artifact_of(file),
        session.device.id,
        tool=session.device_tool.tool,
        protocol=protocol,
        cpus=session.cpus(protocol.threads),
    )


def measure_canary(
    session: DeviceSession, batch: str, moment: Literal["before", "after"], gates: Gates | None
) -> Canary:
    """One process; where that fails, a canary without a number. Raises CaseFailed where the device is gone."""
    case = canary_case(session, FLOAT, gates=gates)
    silent = Canary(
        batch,
        session.device.id,
        moment=moment,
        measured_at=now(),
        artifact=case.artifact,
        tool=case.tool,
        cpus=case.cpus,
    )
    try:
        process = run_process(case, session, file=FLOAT, number=1).process
        run = read_run(case, process)
    except DeviceLost:
        raise
    except CaseFailed as failure:
        return replace(silent, message=str(failure), stdout=failure.log)
    return replace(
        silent,
        latency_us=run.log.inference.avg_us or None,  # a clock that shows 0 tells nothing
        temperature_c=run.watched.temperature_c,
        frequency_khz=run.watched.frequency_khz,
        disturbed=run.disturbed,
        stdout=process.stdout,
        stderr=process.stderr,
    )


def is_comparable(canary: Canary, case: Case) -> bool:
    """Whether it may be compared with what this case measures."""
    return (canary.device, canary.artifact, canary.tool, canary.cpus) == (
        case.device,
        case.artifact,
        case.tool,
        case.cpus,
    )


@dataclass(frozen=True)
class CanaryTrend:
    """A device's newest canary against its earlier ones of the same tool and cores; `warning` where it is off."""

    text: str = "–"
    warning: Warning | None = None


def trend_of(canaries: Sequence[Canary]) -> CanaryTrend:
    """`canaries` are one device's, the oldest first."""
    if not canaries:
        return CanaryTrend()
    newest = canaries[-1]
    alike = [
        one
        for one in canaries
        if (one.artifact, one.tool, one.cpus) == (newest.artifact, newest.tool, newest.cpus)
    ]
    *earlier, latest = [one.latency_us for one in alike if one.latency_us is not None]
    if not earlier:
        return CanaryTrend(format_us(latest))
    change = latest / median(earlier) - 1
    return CanaryTrend(
        f"{format_us(latest)}, {change:+.1%} against {len(earlier)} earlier",
        check_canary(newest.device, latest, history_us=earlier),
    )
