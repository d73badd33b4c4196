"""The statistical claims, tested on simulated devices of known latency.

Every draw is seeded. Each test uses the harness's own order, stopping rule, interval and
comparison. A claim says itself what it allows for chance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median

import numpy as np
import pytest
from numpy.random import Generator

from harness.bench.schedule import needs_another_process
from harness.bench.statistics import (
    adjust_p_values,
    decide_verdict,
    estimate_accuracy_difference,
    estimate_bridged_ratio,
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
    pair_blocks,
    simulate_session,
)

STANDARD = PROTOCOLS["standard"]
TEN_BLOCKS = replace(STANDARD, max_processes=0, target=0.0)
SAME = {"old": 1.0, "new": 1.0}
# It drifts by 15 % while two cases have ten processes each.
DRIFTING = drifting("strong drift", 0.15, over_s=20 * STEP_S)
COMPARISONS = 1000
# Tracing would double the time of so many draws, and other tests run the same lines.
pytestmark = pytest.mark.no_cover
each_device = pytest.mark.parametrize("device", ALL, ids=lambda device: device.name)


def make_generator(*seeds: object) -> Generator:
    return np.random.default_rng([*" ".join(map(str, seeds)).encode()])


def share_of(hits: Iterable[bool]) -> float:
    return float(np.mean([*hits]))


def holds_true_median(device: SimulatedDevice, protocol: Protocol, rng: Generator) -> bool:
    """Measure once, and return True if the interval holds the true median of that time."""
    counted = simulate_session(device, protocol, factors={"case": 1.0}, rng=rng)["case"]
    interval = median_interval([*counted.values()])
    assert interval is not None
    return interval[0] <= device.true_us(STEP_S * max(counted)) <= interval[1]


def simulate_comparison(
    device: SimulatedDevice, protocol: Protocol, factor: float, rng: Generator
) -> Estimate:
    session = simulate_session(device, protocol, factors={"old": 1.0, "new": factor}, rng=rng)
    return estimate_paired_ratio(*pair_blocks(session))


def simulate_fleet(
    devices: Sequence[SimulatedDevice], factors: Sequence[float], rng: Generator
) -> list[Estimate]:
    return [
        simulate_comparison(device, TEN_BLOCKS, factor=factor, rng=rng)
        for device, factor in zip(devices, factors, strict=True)
    ]


@dataclass(frozen=True)
class Bridge:
    """Two batches with a reference in both; the device changes between them by about 10 %.

    `noise` is the standard deviation that the baseline has beyond the device's, as a logarithm.
    """

    name: str
    device: SimulatedDevice
    first: Protocol
    second: Protocol
    noise: float = 0.0

    def simulate(self, factor: float, rng: Generator) -> "BridgedBatches":
        baseline = self._measure(self.first, 1.0, noise=self.noise, rng=rng)
        candidate = self._measure(self.second, factor, noise=0.0, rng=rng)
        return BridgedBatches(baseline, candidate)

    def _measure(
        self, protocol: Protocol, factor: float, noise: float, rng: Generator
    ) -> "BridgedCase":
        state = rng.lognormal(0.0, 0.1)
        factors = {"case": factor * state, "other": 3 * state, "reference": 2 * state}
        session = simulate_session(
            self.device, protocol, factors=factors, rng=rng, reference="reference"
        )
        reference = session["reference"]
        averages = {
            block: average * rng.lognormal(0.0, noise) for block, average in session["case"].items()
        }
        ratios = [averages[block] / reference[block] for block in averages if block in reference]
        return BridgedCase(ratios, [*averages.values()])


@dataclass(frozen=True)
class BridgedCase:
    """A case measured in a batch with a reference."""

    ratios: Sequence[float]
    averages: Sequence[float]


@dataclass(frozen=True)
class BridgedBatches:
    """A baseline and a candidate, each measured in a batch of its own."""

    baseline: BridgedCase
    candidate: BridgedCase

    def estimate(self) -> Estimate:
        return estimate_bridged_ratio(self.baseline.ratios, self.candidate.ratios)

    def estimate_unbridged(self) -> Estimate:
        return estimate_unpaired_ratio(self.baseline.averages, self.candidate.averages)


QUICK = PROTOCOLS["quick"]
NOISY = lognormal("noisy", 0.06)


def fixed(blocks: int) -> Protocol:
    return replace(QUICK, processes=blocks, max_processes=0, target=0.0)


BRIDGES = (
    *(
        Bridge(f"quick, {device.name}", device, first=QUICK, second=QUICK)
        for device in (*ALL, NOISY, DRIFTING)
    ),
    *(
        Bridge(f"standard, {device.name}", device, first=STANDARD, second=STANDARD)
        for device in ALL
    ),
    *(
        Bridge(f"6 and 6, {device.name}", device, first=fixed(6), second=fixed(6))
        for device in ALL[1:4]
    ),
    *(
        Bridge(f"12 and 6, {device.name}", device, first=fixed(12), second=fixed(6))
        for device in ALL[1:4]
    ),
    *(
        Bridge(f"10 and 40, {device.name}", device, first=fixed(10), second=fixed(40))
        for device in ALL[1:4]
    ),
    Bridge("6 noisy and 12 quiet", ALL[0], first=fixed(6), second=fixed(12), noise=0.05),
    Bridge("12 noisy and 6 quiet", ALL[0], first=fixed(12), second=fixed(6), noise=0.05),
    Bridge("10 noisy and 40 quiet", ALL[0], first=fixed(10), second=fixed(40), noise=0.05),
)
FEW_BRIDGES = [
    bridge for bridge in BRIDGES if bridge.name in ("quick, noisy", "6 noisy and 12 quiet")
]
ALARMING_BRIDGES = [
    bridge
    for bridge in BRIDGES
    if bridge.name
    in ("quick, noisy", "quick, lognormal", "standard, two modes", "standard, autocorrelated")
]
each_bridge = pytest.mark.parametrize("bridge", BRIDGES, ids=lambda bridge: bridge.name)


def holds(estimate: Estimate, ratio: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= ratio <= estimate.high


def is_different(estimate: Estimate) -> bool:
    return decide_verdict(estimate, estimate.p) in (Verdict.FASTER, Verdict.SLOWER)


def smallest_change(estimate: Estimate) -> float:
    assert estimate.smallest_change is not None
    return estimate.smallest_change


@pytest.mark.full
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("device", INDEPENDENT, ids=lambda device: device.name)
def test_the_95_interval_holds_the_true_median_in_93_to_97_of_100(
    device: SimulatedDevice, protocol: Protocol
) -> None:
    """Measurements end by the protocol's own rule; 2,000 are made, or more if that is cheap."""
    rng = make_generator("interval", device.name, protocol.name)
    measurements = 40_000 // protocol.processes
    share = share_of(holds_true_median(device, protocol, rng=rng) for _ in range(measurements))
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("targets", [0.7, 1.0, 1.4, 2.0])
def test_the_95_interval_holds_when_luck_largely_decides_the_end_of_measuring(
    targets: float,
) -> None:
    """Noise is a multiple of the target.

    At one end the fewest processes nearly suffice, at the other the most hardly do.
    """
    device = lognormal("borderline", STANDARD.target * targets)
    rng = make_generator("luck", targets)
    share = share_of(holds_true_median(device, STANDARD, rng=rng) for _ in range(2000))
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("protocol", [PROTOCOLS["quick"], STANDARD], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("distance", "share"),
    [
        pytest.param(0.0, 0.12, id="exactly at its limit"),
        pytest.param(0.01, 0.03, id="a percent off"),
    ],
)
@pytest.mark.parametrize("side", [1, -1], ids=["called faster", "called slower"])
def test_a_case_is_rarely_called_to_be_on_the_wrong_side_of_its_limit(
    protocol: Protocol, noise: float, distance: float, share: float, side: int
) -> None:
    """Measuring ends once the interval leaves out the limit: there are many chances to err."""
    rng = make_generator("limit", protocol.name, noise, side * distance)

    def is_called_wrongly() -> bool:
        counted: list[float] = []
        while needs_another_process(protocol, counted, disturbed=0, limit=1.0):
            counted.append((1 + side * distance) * rng.lognormal(0, noise))
        interval = median_interval(counted)
        return interval is not None and (interval[1] < 1.0 if side > 0 else interval[0] > 1.0)

    assert share_of(is_called_wrongly() for _ in range(2000)) < share


@pytest.mark.parametrize(
    "device", [LOGNORMAL, AUTOCORRELATED, DRIFTING], ids=lambda device: device.name
)
def test_the_comparison_of_ten_blocks_is_exact(device: SimulatedDevice) -> None:
    """An artifact is compared with itself: in each block either may have come first.

    At most 4 % of all 1,024 orders give a difference. Luck plays no part: 10 blocks reach exactly
    38 / 1,024 = 3.7 %.
    """
    rng = make_generator("exact", device.name)
    session = simulate_session(device, TEN_BLOCKS, factors=SAME, rng=rng)
    pairs = zip(*pair_blocks(session), strict=True)
    orders = product(*((pair, pair[::-1]) for pair in pairs))
    estimates = (estimate_paired_ratio(*zip(*order, strict=True)) for order in orders)
    assert share_of(map(is_different, estimates)) == 38 / 1024


@each_device
@pytest.mark.parametrize("name", ["quick", "standard"])
def test_the_same_artifact_is_called_different_in_at_most_5_of_100(
    device: SimulatedDevice, name: str
) -> None:
    """Each of 1,000 comparisons is of two cases that end by the protocol's own rule.

    Nothing is allowed for chance.
    """
    rng = make_generator("same", device.name, name)
    estimates = (
        simulate_comparison(device, PROTOCOLS[name], factor=1.0, rng=rng)
        for _ in range(COMPARISONS)
    )
    assert share_of(map(is_different, estimates)) <= 0.05


def test_a_fleet_of_50_has_a_false_alarm_in_5_of_100() -> None:
    """The claim is tested on 200 fleets."""
    rng = make_generator("fleet")
    devices = [ALL[number % len(ALL)] for number in range(50)]
    fleets = (simulate_fleet(devices, [1.0] * 50, rng=rng) for _ in range(200))
    assert share_of(map(has_difference, fleets)) <= 0.05


@pytest.mark.parametrize("slow", [1, 5, 50])
def test_a_fleet_of_50_shows_a_slowdown_on_any_number_of_devices(slow: int) -> None:
    """Even a slowdown on a single device is found."""
    rng = make_generator("slow fleet", slow)
    factors = [1.08] * slow + [1.0] * (50 - slow)
    fleets = (simulate_fleet([LOGNORMAL] * 50, factors, rng=rng) for _ in range(20))
    assert share_of(map(has_difference, fleets)) >= 0.9


def has_difference(fleet: Sequence[Estimate]) -> bool:
    ps = adjust_p_values([estimate.p for estimate in fleet])
    return any(
        decide_verdict(estimate, p) is not Verdict.NO_DIFFERENCE
        for estimate, p in zip(fleet, ps, strict=True)
    )


def test_a_slowdown_of_5_percent_is_found_under_noise_of_2_percent() -> None:
    rng = make_generator("slower")
    estimates = (
        simulate_comparison(LOGNORMAL, TEN_BLOCKS, factor=1.05, rng=rng) for _ in range(COMPARISONS)
    )
    assert share_of(map(is_different, estimates)) >= 0.9


@pytest.mark.parametrize("sign", [1, -1])
def test_the_smallest_change_is_found_nine_times_in_ten(sign: int) -> None:
    """The typical smallest change of ten blocks under noise of 2 % is 3.3 %."""
    rng = make_generator("smallest change")
    typical = median(
        smallest_change(simulate_comparison(LOGNORMAL, TEN_BLOCKS, factor=1.0, rng=rng))
        for _ in range(400)
    )
    estimates = (
        simulate_comparison(LOGNORMAL, TEN_BLOCKS, factor=1 + sign * typical, rng=rng)
        for _ in range(COMPARISONS)
    )
    assert 0.85 <= share_of(map(is_different, estimates)) <= 0.95


def test_a_drift_fools_cases_that_are_measured_one_after_the_other() -> None:
    rng = make_generator("one after the other")
    sequential = replace(TEN_BLOCKS, order="sequential")
    estimates = []
    for _ in range(300):
        session = simulate_session(DRIFTING, sequential, factors=SAME, rng=rng)
        baseline, candidate = ([*averages.values()] for averages in session.values())
        estimates.append(estimate_unpaired_ratio(baseline, candidate))
    assert share_of(map(is_different, estimates)) > 0.5


def test_a_drift_does_not_fool_interleaved_cases() -> None:
    rng = make_generator("interleaved")
    estimates = (
        simulate_comparison(DRIFTING, TEN_BLOCKS, factor=1.0, rng=rng) for _ in range(COMPARISONS)
    )
    assert share_of(map(is_different, estimates)) <= 0.05


def test_a_drift_of_one_case_is_found() -> None:
    """The interval of the median misses a drift this strong; the trend shows it."""
    device = drifting("strong drift", 0.15, over_s=10 * STEP_S)
    rng = make_generator("trend")
    changes = []
    for _ in range(200):
        session = simulate_session(device, TEN_BLOCKS, factors={"case": 1.0}, rng=rng)
        changes.append(find_trend([*session["case"].values()]))
    assert share_of(change is not None and change > 0.05 for change in changes) >= 0.9


def check_bridge(bridge: Bridge, comparisons: int) -> None:
    rng = make_generator("bridge", bridge.name)
    simulations = [bridge.simulate(1.2, rng=rng) for _ in range(comparisons)]
    assert 0.93 <= share_of(holds(batches.estimate(), 1.2) for batches in simulations) <= 0.97
    assert share_of(holds(batches.estimate_unbridged(), 1.2) for batches in simulations) < 0.5


@pytest.mark.full
@each_bridge
def test_the_95_interval_through_a_reference_holds_the_true_ratio_in_93_to_97_of_100(
    bridge: Bridge,
) -> None:
    """The interval of the two batches side by side does not. Nothing is allowed for chance."""
    check_bridge(bridge, comparisons=2000)


@pytest.mark.parametrize("bridge", FEW_BRIDGES, ids=lambda bridge: bridge.name)
def test_the_95_interval_through_a_reference_holds_the_true_ratio(bridge: Bridge) -> None:
    check_bridge(bridge, comparisons=500)


@pytest.mark.full
@pytest.mark.parametrize("bridge", ALARMING_BRIDGES, ids=lambda bridge: bridge.name)
def test_the_same_artifact_is_called_different_through_a_reference_in_at_most_5_of_100(
    bridge: Bridge,
) -> None:
    """Measuring ends by the protocol's own rule, which is fooled most by these devices.

    The rate is up to 4.8 %: it takes 12,000 comparisons to tell that from 5 %.
    """
    rng = make_generator("same through a reference", bridge.name)
    estimates = (bridge.simulate(1.0, rng=rng).estimate() for _ in range(12_000))
    assert share_of(map(is_different, estimates)) <= 0.05


@pytest.mark.parametrize("images", [300, 10_000])
@pytest.mark.parametrize(("lost", "won"), [(0.03, 0.03), (0.05, 0.03), (0.1, 0.1), (0.1, 0.05)])
def test_the_95_interval_of_accuracy_holds_the_true_difference(
    images: int, lost: float, won: float
) -> None:
    """Only the baseline classifies the share `lost` correctly, only the candidate `won`.

    Both classify 90 % of the rest correctly.
    """
    rng = make_generator("accuracy", images, lost, won)
    hits = []
    for _ in range(1000):
        draws = rng.random(images)
        only_baseline, only_candidate = draws < lost, (lost <= draws) & (draws < lost + won)
        common = draws > 1 - 0.9 * (1 - lost - won)
        estimate = estimate_accuracy_difference(only_baseline | common, only_candidate | common)
        assert estimate.low is not None
        assert estimate.high is not None
        hits.append(estimate.low <= won - lost <= estimate.high)
    assert 0.93 <= share_of(hits) <= 0.97
