from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.summary import summarise
from harness.core.bench import (
    PROTOCOLS,
    BatchSlot,
    Case,
    Process,
    Run,
    SensorSummary,
    Timing,
    Tool,
    ToolLog,
)

CASE = Case("a" * 64, "pi4", tool=Tool("tool", "b" * 64), protocol=PROTOCOLS["quick"])


def run(
    average: float, peak: int | None = None, power_uw: float | None = None, batch: str = "b"
) -> Run:
    timing = Timing(50, average, min_us=average, max_us=average, avg_us=average, std_us=0)
    process = Process(
        1,
        "2024-01-01T00:00:00+00:00",
        seconds=1.0,
        exit_code=0,
        stdout="",
        stderr="",
        slot=BatchSlot(batch, 0, position=0),
    )
    return Run(
        process, ToolLog(timing, peak_memory_bytes=peak), sensors=SensorSummary(power_uw=power_uw)
    )


def runs(averages: Sequence[float]) -> list[Run]:
    return [run(average) for average in averages]


@given(st.permutations([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]))
def test_the_median_and_its_interval(averages: list[float]) -> None:
    summary = summarise(CASE, runs(averages))
    assert summary.latency_us == 103.0
    assert summary.latency_low_us is not None
    assert summary.latency_high_us is not None
    assert 100 <= summary.latency_low_us < 103 < summary.latency_high_us <= 106
    assert summary.runs == 7


def test_a_run_counts_once_however_many_iterations_it_made() -> None:
    long_run = Run(
        Process(1, "", seconds=1.0, exit_code=0, stdout="", stderr=""),
        ToolLog(Timing(100_000, 1, min_us=1, max_us=1, avg_us=1, std_us=0)),
    )
    assert summarise(CASE, [long_run, *runs([2, 3])]).latency_us == 2


@pytest.mark.parametrize(("peaks", "peak"), [([None, None], None), ([5, None, 7], 7)])
def test_the_peak_is_the_maximum_over_all_runs(peaks: list[int | None], peak: int | None) -> None:
    assert summarise(CASE, [run(1.0, run_peak) for run_peak in peaks]).peak_memory_bytes == peak


def test_a_measurement_of_too_few_runs_has_a_median_and_no_interval() -> None:
    summary = summarise(CASE, runs([100, 104, 102]))
    assert (summary.latency_us, summary.latency_low_us, summary.latency_high_us) == (
        102,
        None,
        None,
    )


def test_runs_may_take_no_time_at_all() -> None:
    """The tool counts whole microseconds, and a small model may take less than one."""
    assert summarise(CASE, runs([0.0] * 6)).latency_us == 0


def test_energy_is_per_inference_net_of_the_idle_power_of_its_batch() -> None:
    """3 W on top of 2 W idle, for a tenth of a second, are 0.3 J.

    A batch without a known idle power gives no energy.
    """
    measured = [run(100_000, power_uw=5_000_000 + 1000 * number) for number in range(6)]
    unknown = run(100_000, power_uw=9_000_000, batch="another")
    summary = summarise(CASE, [*measured, unknown], idle_uw={"b": 2_000_000})
    assert summary.energy_uj == pytest.approx(300_250)
    assert summary.energy_low_uj is not None
    assert summary.energy_high_uj is not None
    assert 300_000 <= summary.energy_low_uj < 300_250 < summary.energy_high_uj <= 300_500
    assert summarise(CASE, runs([100] * 6), idle_uw={"b": 2_000_000}).energy_uj is None


@pytest.mark.parametrize("power_uw", [2_000_000, 1_900_000], ids=["stuck", "below idle"])
def test_a_tool_that_seems_to_take_no_power_has_no_known_energy(power_uw: float) -> None:
    measured = [run(100_000, power_uw=power_uw) for _ in range(6)]
    summary = summarise(CASE, measured, idle_uw={"b": 2_000_000})
    assert (summary.energy_uj, summary.energy_low_uj, summary.energy_high_uj) == (None, None, None)
