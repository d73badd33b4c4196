"""Runs → one measurement's numbers: median, interval, energy, and quality in words."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from harness.bench.quality import counting, quality
from harness.bench.statistics import median_interval
from harness.core.bench import Case, Run, Summary

T = TypeVar("T", int, float)


def summarise(
    case: Case,
    runs: Sequence[Run],
    idle_uw: Mapping[str, float] | None = None,
    around: Iterable[str] = (),
) -> Summary:
    """`runs` holds at least one; each counts once, however many iterations it made.

    `idle_uw` is the idle device's power by batch; `around` are warnings that the runs do not tell.
    """
    counted = counting(runs)
    averages = [run.log.inference.avg_us for run in counted]
    interval = median_interval(averages) or (None, None)
    energies = [energy for run in counted if (energy := _energy_uj(run, idle_uw or {})) is not None]
    energy_interval = median_interval(energies) or (None, None)
    return Summary(
        latency_us=median(averages),
        latency_low_us=interval[0],
        latency_high_us=interval[1],
        runs=len(counted),
        peak_memory_bytes=_most(run.log.peak_memory_bytes for run in counted),
        quality=quality(case, runs, found_around=around),
        disturbed_runs=len(runs) - len(counted),
        temperature_c=_most(run.watched.temperature_c for run in counted),
        frequency_khz=_middle(run.watched.frequency_khz for run in counted),
        energy_uj=median(energies) if energies else None,
        energy_low_uj=energy_interval[0],
        energy_high_uj=energy_interval[1],
    )


def _energy_uj(run: Run, idle_uw: Mapping[str, float]) -> float | None:
    """Of one inference, beyond the idle device's: µW × µs are 1e-12 J, a millionth of a µJ."""
    idle = idle_uw.get(run.process.place.batch) if run.process.place else None
    if run.watched.power_uw is None or idle is None:
        return None
    return (run.watched.power_uw - idle) * run.log.inference.avg_us / 1e6


def _most(values: Iterable[T | None]) -> T | None:
    return max((value for value in values if value is not None), default=None)


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
