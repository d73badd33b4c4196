from collections.abc import Callable, Sequence
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.summary import median_interval, summarise
from harness.core.bench import Process, Run, Timing, ToolLog

SAMPLES = 4000


def run(average: float, peak: int | None = None) -> Run:
    timing = Timing(50, average, average, average, average, 0)
    return Run(Process(1, "2024-01-01T00:00:00+00:00", 1.0, 0, "", ""), ToolLog(timing, peak_memory_bytes=peak))


def runs(averages: Sequence[float]) -> list[Run]:
    return [run(average) for average in averages]


@pytest.mark.parametrize("count", range(6))
def test_fewer_than_six_have_no_interval(count: int) -> None:
    assert median_interval(range(count)) is None


@pytest.mark.parametrize(
    ("count", "low", "high"), [(6, 1, 6), (7, 1, 7), (8, 1, 8), (9, 2, 8), (10, 2, 9), (12, 3, 10), (20, 6, 15)]
)
def test_the_interval_lies_between_the_published_order_statistics(count: int, low: int, high: int) -> None:
    """Conover, "Practical Nonparametric Statistics", table of the sign test."""
    assert median_interval(range(1, count + 1)) == (low, high)


def normal(random: Random) -> float:
    return random.gauss(0, 1)


def lognormal(random: Random) -> float:
    return random.lognormvariate(0, 1)


def bimodal(random: Random) -> float:
    """Two clock speeds: 6 in 10 samples near 0, the rest near 10; its median is that of the first at 5/6."""
    return random.gauss(0, 1) if random.random() < 0.6 else random.gauss(10, 1)


@pytest.mark.parametrize("count", [6, 10, 20])
@pytest.mark.parametrize(("draw", "middle"), [(normal, 0.0), (lognormal, 1.0), (bimodal, 0.9674)])
def test_the_interval_holds_the_true_median_in_95_of_100_samples(
    draw: Callable[[Random], float], middle: float, count: int
) -> None:
    random = Random(f"{draw.__name__} {count}")
    held = 0
    for _ in range(SAMPLES):
        interval = median_interval(sorted(draw(random) for _ in range(count)))
        assert interval is not None
        held += interval[0] <= middle <= interval[1]
    assert held / SAMPLES >= 0.95


@given(st.lists(st.floats(1, 1e6), min_size=6, max_size=30))
def test_the_interval_holds_the_samples_median(averages: list[float]) -> None:
    low, high = median_interval(sorted(averages)) or (0.0, 0.0)
    assert low <= median(averages) <= high


@given(st.permutations([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]))
def test_the_order_of_runs_makes_no_difference(averages: list[float]) -> None:
    summary = summarise(runs(averages))
    assert (summary.latency_us, summary.latency_low_us, summary.latency_high_us) == (103.0, 100.0, 106.0)
    assert (summary.runs, summary.quality) == (7, "ok")


def test_a_run_counts_once_however_many_iterations_it_made() -> None:
    many = Run(Process(1, "", 1.0, 0, "", ""), ToolLog(Timing(100_000, 1, 1, 1, 1, 0)))
    assert summarise([many, *runs([2, 3])]).latency_us == 2


@pytest.mark.parametrize(("peaks", "peak"), [([None, None], None), ([5, None, 7], 7)])
def test_the_peak_is_the_most_that_any_run_used(peaks: list[int | None], peak: int | None) -> None:
    assert summarise([run(1.0, one) for one in peaks]).peak_memory_bytes == peak


@pytest.mark.parametrize(
    ("averages", "words"),
    [
        ([100] * 6, []),
        ([95, 97, 100, 100, 103, 105], []),
        ([94, 97, 100, 100, 103, 105], ["spread"]),
        ([100], ["few_runs"]),
        ([100] * 5, ["few_runs"]),
        ([100, 200, 300], ["few_runs", "spread"]),
    ],
)
def test_quality_says_what_is_shaky(averages: list[float], words: list[str]) -> None:
    quality = summarise(runs(averages)).quality
    assert [word for word in ("few_runs", "spread") if f"{word}: " in quality] == words
    assert (quality == "ok") == (not words)


def test_a_measurement_of_too_few_runs_has_a_median_and_no_interval() -> None:
    summary = summarise(runs([100, 104, 102]))
    assert (summary.latency_us, summary.latency_low_us, summary.latency_high_us) == (102, None, None)


def test_runs_that_took_no_time_are_no_error() -> None:
    """The tool counts whole microseconds: a model may take none of them."""
    assert summarise(runs([0.0] * 6)).latency_us == 0
