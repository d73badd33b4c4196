"""The canary: a small fixed model that shows the device's state before and after each batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Literal

from harness.bench import CANARIES
from harness.bench.quality import check_canary
from harness.core.bench import Case, Gates, Protocol, Run
from harness.core.errors import CaseFailed, DeviceLost
from harness.core.ids import sha256_of_file
from harness.core.observations import Canary
from harness.core.quality import Warning
from harness.core.units import format_us
from harness.fleet.process import DeviceSession, read_run, run_process
from harness.store.database import now

FLOAT_CANARY = CANARIES / "float.tflite"
_PROTOCOL = Protocol("canary", warmup_min_secs=0.1, num_runs=20, min_secs=0.3, processes=1)


@cache
def _artifact_of(file: Path) -> str:
    return sha256_of_file(file)


def make_canary_case(session: DeviceSession, file: Path, gates: Gates | None = None) -> Case:
    """Return the case of a canary's file; `gates` decide which runs count as disturbed."""
    protocol = replace(_PROTOCOL, gates=gates)
    return Case(
        _artifact_of(file),
        session.device.id,
        tool=session.device_tool.tool,
        protocol=protocol,
        cpus=session.cpus(protocol.threads),
    )


def measure_canary(
    session: DeviceSession, batch: str, moment: Literal["before", "after"], gates: Gates | None
) -> tuple[Canary, Run | None]:
    """Measure the float canary with one process of the tool, and return it with its run.

    The canary has no latency, and no run, if the process fails. Raises DeviceLost.
    """
    case = make_canary_case(session, FLOAT_CANARY, gates=gates)
    unmeasured = Canary(
        batch,
        session.device.id,
        moment=moment,
        measured_at=now(),
        artifact=case.artifact,
        tool=case.tool,
        cpus=case.cpus,
    )
    try:
        process = run_process(case, session, file=FLOAT_CANARY, number=1).process
        run = read_run(case, process)
    except DeviceLost:
        raise
    except CaseFailed as failure:
        return replace(unmeasured, message=str(failure), stdout=failure.log), None
    canary = replace(
        unmeasured,
        latency_us=run.log.inference.avg_us or None,  # 0 means that the clock is too coarse
        temperature_c=run.sensors.temperature_c,
        frequency_khz=run.sensors.frequency_khz,
        disturbed=run.disturbed,
        stdout=process.stdout,
        stderr=process.stderr,
    )
    return canary, run


def is_comparable(canary: Canary, case: Case) -> bool:
    """Return whether a canary was measured as this case measures it."""
    return (canary.device, canary.artifact, canary.tool, canary.cpus) == (
        case.device,
        case.artifact,
        case.tool,
        case.cpus,
    )


@dataclass(frozen=True)
class CanaryTrend:
    """A device's newest canary, compared with its earlier ones of the same tool and cores.

    `text` is for people; `warning` is set if the canary differs too much.
    """

    text: str = "–"
    warning: Warning | None = None


def trend_of(canaries: Sequence[Canary]) -> CanaryTrend:
    """Return the trend of one device's canaries, which are sorted from oldest to newest."""
    if not canaries:
        return CanaryTrend()
    newest = canaries[-1]
    conditions = (newest.artifact, newest.tool, newest.cpus)
    latencies_us = [
        canary.latency_us
        for canary in canaries
        if (canary.artifact, canary.tool, canary.cpus) == conditions
        and canary.latency_us is not None
    ]
    *history_us, latest_us = latencies_us
    if not history_us:
        return CanaryTrend(format_us(latest_us))
    change = latest_us / median(history_us) - 1
    return CanaryTrend(
        f"{format_us(latest_us)}, {change:+.1%} against {len(history_us)} earlier",
        check_canary(newest.device, latest_us, history_us=history_us),
    )
