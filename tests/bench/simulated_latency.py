"""Devices whose true latency is known, measured the way the harness measures: by the real order and stopping rule."""

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
STEP_S = 2.0  # from one process to the next
Counted = dict[int, float]
"""The averages that count, in microseconds, by block."""


def _constant(_: float) -> float:
    return TYPICAL_US


def _cool(times_s: Floats) -> NDArray[np.bool_]:
    return np.zeros(len(times_s), dtype=bool)


@dataclass(frozen=True)
class SimulatedDevice:
    """`averages_us` draws what processes at these seconds would tell of an artifact of `TYPICAL_US`.

    `true_us` is the median of what is drawn in a measurement that lasts so many seconds. `throttled` says which
    processes the device's sensors mark, so that they do not count.
    """

    name: str
    averages_us: Callable[[Generator, Floats], Floats]
    true_us: Callable[[float], float] = _constant
    throttled: Callable[[Floats], NDArray[np.bool_]] = _cool


def _noise(rng: Generator, times_s: Floats, sigma: float = 0.02) -> Floats:
    return rng.lognormal(np.log(TYPICAL_US), sigma, len(times_s))


def _heavy_tails(rng: Generator, times_s: Floats) -> Floats:
    """One process in ten takes 1 % longer, or far longer: Pareto's index 1.5 has no variance."""
    spikes = rng.random(len(times_s)) < 0.1
    return _noise(rng, times_s) * (1 + 0.01 * spikes * (1 + rng.pareto(1.5, len(times_s))))


def _two_modes(rng: Generator, times_s: Floats) -> Floats:
    """Three in ten processes take 6 % longer, as if on other cores."""
    slower: Floats = np.where(rng.random(len(times_s)) < 0.3, 1.06, 1.0)
    return _noise(rng, times_s, sigma=0.01) * slower


def _median_by_drawing(draw: Callable[[Generator, Floats], Floats]) -> Callable[[float], float]:
    middle = float(np.median(draw(np.random.default_rng(0), np.zeros(1_000_000))))
    return lambda _: middle


def drifting(name: str, change: float, over_s: float, sigma: float = 0.02) -> SimulatedDevice:
    """Slower by `change` after `over_s` seconds, and so on. Its log drifts on a line: the true median is that of the
    middle of the measurement."""
    rate = np.log1p(change) / over_s
    return SimulatedDevice(
        name,
        lambda rng, times_s: _noise(rng, times_s, sigma=sigma) * np.exp(rate * times_s),
        true_us=lambda lasts_s: TYPICAL_US * float(np.exp(rate * lasts_s / 2)),
    )


def _hot(times_s: Floats) -> NDArray[np.bool_]:
    """After a minute it throttles for 20 of every 40 seconds."""
    return np.asarray((times_s >= 60) & (times_s % 40 < 20))


def _throttling(rng: Generator, times_s: Floats) -> Floats:
    slowed: Floats = np.where(_hot(times_s), 1.6, 1.0)
    return _noise(rng, times_s) * slowed


def _autocorrelated(rng: Generator, times_s: Floats) -> Floats:
    """Each process is half as far off as the one before it, and noise. The log's standard deviation is 2 %."""
    shocks = 0.02 * np.sqrt(1 - 0.5**2) * rng.standard_normal(len(times_s))
    off = np.empty(len(times_s))
    last = 0.02 * rng.standard_normal()
    for index, shock in enumerate(shocks):
        off[index] = last = 0.5 * last + shock
    return np.multiply(TYPICAL_US, np.exp(off))


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
"""What the interval of the median claims to handle: processes that are independent, but for a drift under the noise."""
AUTOCORRELATED = SimulatedDevice("autocorrelated", _autocorrelated)
"""Its neighbours' alikeness makes the interval of the median too narrow, so that nothing is claimed of it there."""
ALL = (*INDEPENDENT, AUTOCORRELATED)
"""What comparisons block by block claim to handle."""


def session(
    device: SimulatedDevice, protocol: Protocol, factors: Mapping[str, float], rng: Generator
) -> dict[str, Counted]:
    """A batch of cases on one device, each so many times as slow as `TYPICAL_US`: what counts of each, by block."""
    times_s = STEP_S * np.arange(len(factors) * (MAX_TRIES * protocol.process_limit + 1))
    told = zip(
        device.averages_us(rng, times_s).tolist(), device.throttled(times_s).tolist(), strict=True
    )
    batch = rng.bytes(8).hex()
    counted: dict[str, Counted] = {case: {} for case in factors}
    disturbed = dict.fromkeys(factors, 0)
    for block in count():
        wanting = [
            case
            for case in factors
            if needs_another_process(protocol, [*counted[case].values()], disturbed=disturbed[case])
        ]
        for case in order_block(batch, block, cases=wanting, ordering=protocol.order):
            average, throttled = next(told)
            if throttled:
                disturbed[case] += 1
            else:
                counted[case][block] = factors[case] * average
        if not wanting:
            return counted
    raise AssertionError("a batch ends")


def paired(counted: Mapping[str, Counted]) -> tuple[list[float], list[float]]:
    """Of the blocks in which both cases count."""
    baseline, candidate = counted.values()
    shared = sorted(baseline.keys() & candidate.keys())
    return [baseline[block] for block in shared], [candidate[block] for block in shared]
