"""Simulated devices of known latency, measured by the harness's own order and stopping rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from harness.bench.schedule import MAX_TRIES, needs_another_process, order_block
from harness.core.bench import Protocol

Floats = NDArray[np.float64]
TYPICAL_US = 1000.0
STEP_S = 2.0  # between the starts of two processes
Counted = dict[int, float]
"""The averages that count, in microseconds, by block."""


def _constant(_: float) -> float:
    return TYPICAL_US


def _cool(times_s: Floats) -> NDArray[np.bool_]:
    return np.zeros(len(times_s), dtype=bool)


@dataclass(frozen=True)
class SimulatedDevice:
    """A device that draws latencies of an artifact of `TYPICAL_US`.

    `averages_us` draws the averages of processes that start at these seconds. `true_us` is the
    median of all draws in a measurement of so many seconds. `throttled` says which processes the
    device's sensors mark, so that they do not count.
    """

    name: str
    averages_us: Callable[[Generator, Floats], Floats]
    true_us: Callable[[float], float] = _constant
    throttled: Callable[[Floats], NDArray[np.bool_]] = _cool


def _noise(rng: Generator, times_s: Floats, sigma: float = 0.02) -> Floats:
    return rng.lognormal(np.log(TYPICAL_US), sigma, len(times_s))


def _heavy_tails(rng: Generator, times_s: Floats) -> Floats:
    """Delay one process in ten by 1 % or far more: Pareto's index 1.5 has no variance."""
    spikes = rng.random(len(times_s)) < 0.1
    return _noise(rng, times_s) * (1 + 0.01 * spikes * (1 + rng.pareto(1.5, len(times_s))))


def _two_modes(rng: Generator, times_s: Floats) -> Floats:
    """Delay three in ten processes by 6 %, as if they ran on other cores."""
    slower: Floats = np.where(rng.random(len(times_s)) < 0.3, 1.06, 1.0)
    return _noise(rng, times_s, sigma=0.01) * slower


def _median_by_drawing(draw: Callable[[Generator, Floats], Floats]) -> Callable[[float], float]:
    middle = float(np.median(draw(np.random.default_rng(0), np.zeros(1_000_000))))
    return lambda _: middle


def drifting(name: str, change: float, over_s: float, sigma: float = 0.02) -> SimulatedDevice:
    """Return a device that slows down by `change` every `over_s` seconds.

    Its log drifts linearly, so the true median is that of the middle of the measurement.
    """
    rate = np.log1p(change) / over_s
    return SimulatedDevice(
        name,
        lambda rng, times_s: _noise(rng, times_s, sigma=sigma) * np.exp(rate * times_s),
        true_us=lambda lasts_s: TYPICAL_US * float(np.exp(rate * lasts_s / 2)),
    )


def _hot(times_s: Floats) -> NDArray[np.bool_]:
    """Throttle for 20 of every 40 seconds after the first minute."""
    return np.asarray((times_s >= 60) & (times_s % 40 < 20))


def _throttling(rng: Generator, times_s: Floats) -> Floats:
    slowed: Floats = np.where(_hot(times_s), 1.6, 1.0)
    return _noise(rng, times_s) * slowed


def _autocorrelated(rng: Generator, times_s: Floats) -> Floats:
    """Halve the deviation of the process before, and add noise.

    The standard deviation of the log is 2 %.
    """
    shocks = 0.02 * np.sqrt(1 - 0.5**2) * rng.standard_normal(len(times_s))
    deviations = np.empty(len(times_s))
    previous = 0.02 * rng.standard_normal()
    for index, shock in enumerate(shocks):
        deviations[index] = previous = 0.5 * previous + shock
    return np.multiply(TYPICAL_US, np.exp(deviations))


def lognormal(name: str, sigma: float) -> SimulatedDevice:
    return SimulatedDevice(name, lambda rng, times_s: _noise(rng, times_s, sigma=sigma))


LOGNORMAL = lognormal("lognormal", 0.02)
INDEPENDENT = (
    lognormal("quiet", 0.005),
    LOGNORMAL,
    SimulatedDevice("heavy tails", _heavy_tails, true_us=_median_by_drawing(_heavy_tails)),
    SimulatedDevice("two modes", _two_modes, true_us=_median_by_drawing(_two_modes)),
    drifting("mild drift", 0.01, over_s=80.0),
    SimulatedDevice("throttling", _throttling, throttled=_hot),
)
"""Devices that the interval of the median claims to handle.

Their processes are independent, but for a drift below the noise."""
AUTOCORRELATED = SimulatedDevice("autocorrelated", _autocorrelated)
"""A device whose similar neighbours make the interval of the median too narrow.

Nothing is claimed of that interval here."""
ALL = (*INDEPENDENT, AUTOCORRELATED)
"""Devices that comparisons block by block claim to handle."""


def simulate_session(
    device: SimulatedDevice,
    protocol: Protocol,
    factors: Mapping[str, float],
    rng: Generator,
    reference: str = "",
) -> dict[str, Counted]:
    """Measure a batch of cases on one device, and return the averages that count of each case.

    A case's factor says how many times as slow as `TYPICAL_US` it is. The reference, if any, is one
    of the cases; it runs as long as any other does.
    """
    times_s = STEP_S * np.arange(len(factors) * (MAX_TRIES * protocol.process_limit + 1))
    averages_us = device.averages_us(rng, times_s).tolist()
    processes = zip(averages_us, device.throttled(times_s).tolist(), strict=True)
    batch = rng.bytes(8).hex()
    counted: dict[str, Counted] = {case: {} for case in factors}
    disturbed = dict.fromkeys(factors, 0)
    unfinished = [case for case in factors if case != reference]
    for block in count():
        unfinished = [
            case
            for case in unfinished
            if needs_another_process(protocol, [*counted[case].values()], disturbed=disturbed[case])
        ]
        if not unfinished:
            return counted
        running = [*unfinished, reference] if reference else unfinished
        for case in order_block(batch, block, cases=running, ordering=protocol.order):
            average, throttled = next(processes)
            if throttled:
                disturbed[case] += 1
            else:
                counted[case][block] = factors[case] * average
    raise AssertionError("a batch must end")


def pair_blocks(counted: Mapping[str, Counted]) -> tuple[list[float], list[float]]:
    """Return the averages of both cases in the blocks in which both count."""
    baseline, candidate = counted.values()
    shared = sorted(baseline.keys() & candidate.keys())
    return [baseline[block] for block in shared], [candidate[block] for block in shared]
