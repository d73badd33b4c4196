"""The claims that the numbers make, on simulated devices whose truth is known. Every draw is seeded.

Each test drives the real order, stopping rule, interval and comparison. What a claim allows for chance, it says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from statistics import median

import numpy as np
import pytest
from numpy.random import Generator

from harness.bench.statistics import (
    adjust_p_values,
    decide_verdict,
    estimate_accuracy_difference,
    estimate_paired_ratio,
    estimate_unpaired_ratio,
    find_trend,
    median_interval,
)
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.comparison import Estimate, Verdict
from tests.bench.simulated_latency import (
    ALL,
    AUTOCORRELATED,
    INDEPENDENT,
    LOGNORMAL,
    STEP_S,
    SimulatedDevice,
    drifting,
    lognormal,
    paired,
    session,
)

STANDARD = PROTOCOLS["standard"]
TEN_BLOCKS = replace(STANDARD, max_processes=0, target=0.0)
SAME = {"old": 1.0, "new": 1.0}
DRIFTING = drifting(
    "strong drift", 0.15, over_s=20 * STEP_S
)  # while two cases have ten processes each
COMPARISONS = 1000
each_device = pytest.mark.parametrize("device", ALL, ids=lambda device: device.name)


def seeded(*words: object) -> Generator:
    return np.random.default_rng([*" ".join(map(str, words)).encode()])


def share(hits: Iterable[bool]) -> float:
    return float(np.mean([*hits]))


def holds(device: SimulatedDevice, protocol: Protocol, rng: Generator) -> bool:
    """Whether the interval of one measurement holds the true median of the time that it took."""
    counted = session(device, protocol, factors={"case": 1.0}, rng=rng)["case"]
    interval = median_interval([*counted.values()])
    assert interval is not None
    return interval[0] <= device.true_us(STEP_S * max(counted)) <= interval[1]


def compared(
    device: SimulatedDevice, protocol: Protocol, factor: float, rng: Generator
) -> Estimate:
    return estimate_paired_ratio(
        *paired(session(device, protocol, factors={"old": 1.0, "new": factor}, rng=rng))
    )


def differs(estimate: Estimate) -> bool:
    return decide_verdict(estimate, estimate.p) in (Verdict.FASTER, Verdict.SLOWER)


def smallest_change(estimate: Estimate) -> float:
    assert estimate.smallest_change is not None
    return estimate.smallest_change


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("device", INDEPENDENT, ids=lambda device: device.name)
def test_the_95_interval_holds_the_true_median_in_93_to_97_of_100(
    device: SimulatedDevice, protocol: Protocol
) -> None:
    """Of 2,000 or more measurements that end by the protocol's own rule; of more where that is cheap."""
    rng = seeded("interval", device.name, protocol.name)
    measurements = 40_000 // protocol.processes
    assert 0.93 <= share(holds(device, protocol, rng=rng) for _ in range(measurements)) <= 0.97


@pytest.mark.parametrize("targets", [0.7, 1.0, 1.4, 2.0])
def test_the_95_interval_does_so_where_luck_decides_most_when_measuring_ends(
    targets: float,
) -> None:
    """Noise in multiples of the target: from where the least processes nearly do, to where the most hardly do."""
    device = lognormal("borderline", STANDARD.target * targets)
    rng = seeded("luck", targets)
    assert 0.93 <= share(holds(device, STANDARD, rng=rng) for _ in range(2000)) <= 0.97


@pytest.mark.parametrize(
    "device", [LOGNORMAL, AUTOCORRELATED, DRIFTING], ids=lambda device: device.name
)
def test_the_comparison_of_ten_blocks_is_exact(device: SimulatedDevice) -> None:
    """The same artifact twice: in each block either may have come first. Of all 1,024 ways, at most 4 % differ.

    No luck is in it: what 10 blocks attain is 38 / 1,024 = 3.7 %.
    """
    blocks = [
        *zip(
            *paired(session(device, TEN_BLOCKS, factors=SAME, rng=seeded("exact", device.name))),
            strict=True,
        )
    ]
    ways = product(*((pair, pair[::-1]) for pair in blocks))
    assert (
        share(differs(estimate_paired_ratio(*zip(*way, strict=True))) for way in ways) == 38 / 1024
    )


@each_device
@pytest.mark.parametrize("name", ["quick", "standard"])
def test_the_same_artifact_is_called_different_in_at_most_5_of_100(
    device: SimulatedDevice, name: str
) -> None:
    """Of 1,000 comparisons, each of two cases that end by the protocol's own rule. Nothing is allowed for chance."""
    rng = seeded("same", device.name, name)
    assert (
        share(
            differs(compared(device, PROTOCOLS[name], factor=1.0, rng=rng))
            for _ in range(COMPARISONS)
        )
        <= 0.05
    )


def test_a_fleet_of_50_has_a_false_alarm_in_5_of_100() -> None:
    """Of 200 fleets."""
    rng = seeded("fleet")
    fleets = [
        [compared(ALL[number % len(ALL)], TEN_BLOCKS, factor=1.0, rng=rng) for number in range(50)]
        for _ in range(200)
    ]
    assert share(differs_anywhere(fleet) for fleet in fleets) <= 0.05


@pytest.mark.parametrize("slow", [1, 5, 50])
def test_a_fleet_of_50_shows_a_slowdown_on_however_many(slow: int) -> None:
    """On one alone, too."""
    rng = seeded("slow fleet", slow)
    factors = [1.08] * slow + [1.0] * (50 - slow)
    assert (
        share(
            differs_anywhere(
                [compared(LOGNORMAL, TEN_BLOCKS, factor=factor, rng=rng) for factor in factors]
            )
            for _ in range(20)
        )
        >= 0.9
    )


def differs_anywhere(fleet: Sequence[Estimate]) -> bool:
    ps = adjust_p_values([estimate.p for estimate in fleet])
    return any(
        decide_verdict(estimate, p) is not Verdict.NO_DIFFERENCE
        for estimate, p in zip(fleet, ps, strict=True)
    )


def test_a_slowdown_of_5_percent_is_found_under_noise_of_2_percent() -> None:
    rng = seeded("slower")
    assert (
        share(
            differs(compared(LOGNORMAL, TEN_BLOCKS, factor=1.05, rng=rng))
            for _ in range(COMPARISONS)
        )
        >= 0.9
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_the_smallest_change_is_found_nine_times_in_ten(sign: int) -> None:
    """The typical one of ten blocks under noise of 2 %: 3.3 %."""
    rng = seeded("smallest change")
    typical = median(
        smallest_change(compared(LOGNORMAL, TEN_BLOCKS, factor=1.0, rng=rng)) for _ in range(400)
    )
    found = share(
        differs(compared(LOGNORMAL, TEN_BLOCKS, factor=1 + sign * typical, rng=rng))
        for _ in range(COMPARISONS)
    )
    assert 0.85 <= found <= 0.95


def test_a_drift_fools_cases_that_are_measured_one_after_the_other() -> None:
    rng = seeded("one after the other")
    one_by_one = replace(TEN_BLOCKS, order="sequential")
    sessions = [session(DRIFTING, one_by_one, factors=SAME, rng=rng).values() for _ in range(300)]
    assert (
        share(
            differs(estimate_unpaired_ratio(*([*case.values()] for case in cases)))
            for cases in sessions
        )
        > 0.5
    )


def test_a_drift_does_not_fool_interleaved_cases() -> None:
    rng = seeded("interleaved")
    assert (
        share(
            differs(compared(DRIFTING, TEN_BLOCKS, factor=1.0, rng=rng)) for _ in range(COMPARISONS)
        )
        <= 0.05
    )


def test_a_drift_of_one_case_is_told() -> None:
    """The interval of the median says nothing of a drift this strong; the trend does."""
    device = drifting("strong drift", 0.15, over_s=10 * STEP_S)
    rng = seeded("trend")
    trends = [
        find_trend([*session(device, TEN_BLOCKS, factors={"case": 1.0}, rng=rng)["case"].values()])
        for _ in range(200)
    ]
    assert share(change is not None and change > 0.05 for change in trends) >= 0.9


@pytest.mark.parametrize("images", [300, 10_000])
@pytest.mark.parametrize(("lost", "won"), [(0.03, 0.03), (0.05, 0.03), (0.1, 0.1), (0.1, 0.05)])
def test_the_95_interval_of_accuracy_holds_the_true_difference(
    images: int, lost: float, won: float
) -> None:
    """`lost` of all images only the baseline gets right, `won` only the candidate; 90 % of the rest both."""
    rng = seeded("accuracy", images, lost, won)
    held = []
    for _ in range(1000):
        draws = rng.random(images)
        only_old, only_new = draws < lost, (lost <= draws) & (draws < lost + won)
        both = draws > 1 - 0.9 * (1 - lost - won)
        estimate = estimate_accuracy_difference(only_old | both, only_new | both)
        assert estimate.low is not None
        assert estimate.high is not None
        held.append(estimate.low <= won - lost <= estimate.high)
    assert 0.93 <= share(held) <= 0.97
