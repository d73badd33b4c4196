"""The numbers of one measurement from its runs: median, interval, energy, warnings."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from harness.bench.quality import find_warnings, select_counted
from harness.bench.statistics import median_interval
from harness.core.bench import Case, Run, Summary
from harness.core.quality import Warning

T = TypeVar("T", int, float)


def summarise(
    case: Case,
    runs: Sequence[Run],
    idle_uw: Mapping[str, float] | None = None,
    circumstances: Iterable[Warning] = (),
) -> Summary:
    """Return the numbers of at least one run; each counts once, however many iterations it made.

    `idle_uw` is the idle device's power by batch; `circumstances` are the warnings that cannot be
    derived from the runs.
    """
    counted = select_counted(runs)
    averages = [run.log.inference.avg_us for run in counted]
    interval = median_interval(averages) or (None, None)
    energies = _list_energies_uj(counted, idle_uw or {})
    energy_interval = median_interval(energies) or (None, None)
    return Summary(
        latency_us=median(averages),
        latency_low_us=interval[0],
        latency_high_us=interval[1],
        runs=len(counted),
        peak_memory_bytes=_max_known(run.log.peak_memory_bytes for run in counted),
        warnings=(*find_warnings(case, runs), *circumstances),
        disturbed_runs=len(runs) - len(counted),
        temperature_c=_max_known(run.sensors.temperature_c for run in counted),
        frequency_khz=_median_known(run.sensors.frequency_khz for run in counted),
        energy_uj=median(energies) if energies else None,
        energy_low_uj=energy_interval[0],
        energy_high_uj=energy_interval[1],
    )


def _list_energies_uj(runs: Iterable[Run], idle_uw: Mapping[str, float]) -> list[float]:
    """Return the known energies, or none if a tool seems to take no power: the sensor is stuck."""
    energies = [energy for run in runs if (energy := _energy_uj(run, idle_uw)) is not None]
    return energies if energies and median(energies) > 0 else []


def _energy_uj(run: Run, idle_uw: Mapping[str, float]) -> float | None:
    """Return the energy of one inference, net of the idle device's.

    µW × µs are 1e-12 J, a millionth of a µJ.
    """
    idle = idle_uw.get(run.process.slot.batch) if run.process.slot else None
    if run.sensors.power_uw is None or idle is None:
        return None
    return (run.sensors.power_uw - idle) * run.log.inference.avg_us / 1e6


def _max_known(values: Iterable[T | None]) -> T | None:
    return max((value for value in values if value is not None), default=None)


def _median_known(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return median(numbers) if numbers else None
