"""Each warning on both sides of its threshold; the manual's table equals the catalogue."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.quality import (
    MIN_RUNS,
    WARNINGS,
    check_canary,
    describe_disturbance,
    find_warnings,
    make_warning,
    select_circumstances,
    select_counted,
)
from harness.core.bench import (
    PROTOCOLS,
    Case,
    Gates,
    Process,
    Protocol,
    Run,
    SensorSummary,
    Timing,
    Tool,
    ToolLog,
)
from harness.core.quality import Warning, format_quality, parse_quality

QUICK = PROTOCOLS["quick"]
GATES = Gates()
NO_SENSORS = SensorSummary()


def run(
    average: float, number: int = 1, sensors: SensorSummary = NO_SENSORS, disturbed: str = ""
) -> Run:
    timing = Timing(50, average, min_us=average, max_us=average, avg_us=average, std_us=0)
    return Run(
        Process(number, "", seconds=1.0, exit_code=0, stdout="", stderr=""),
        ToolLog(timing),
        sensors=sensors,
        disturbed=disturbed,
    )


def case(protocol: Protocol = QUICK) -> Case:
    return Case("a" * 64, "pi4", tool=Tool("tool", "b" * 64), protocol=protocol)


def runs(averages: Sequence[float]) -> list[Run]:
    return [run(average, number) for number, average in enumerate(averages, 1)]


@pytest.mark.parametrize(
    ("protocol", "averages", "names"),
    [
        (QUICK, [100] * 6, []),
        (QUICK, [100, 97, 95, 105, 103, 100], []),
        (QUICK, [94, 103, 97, 100, 105, 100], ["wide_interval", "spread"]),
        (replace(QUICK, target=0), [94, 103, 97, 100, 105, 100], ["spread"]),
        (QUICK, [100], ["few_runs"]),
        (QUICK, [100] * 5, ["few_runs"]),
        (QUICK, [0] * 6, ["below_resolution"]),
        (QUICK, [100, 101, 99, 100, 102, 98, 100, 101, 99, 300], ["spread", "outliers"]),
        (
            QUICK,
            [100, 101, 120, 121, 100, 120, 101, 121, 100, 120],
            ["wide_interval", "spread", "two_modes"],
        ),
        (QUICK, [100 + number / 2 for number in range(12)], ["drift"]),
        (QUICK, [100 + number / 20 for number in range(12)], []),
    ],
)
def test_shaky_numbers_get_the_warnings_that_apply(
    protocol: Protocol, averages: list[float], names: list[str]
) -> None:
    warnings = find_warnings(case(protocol), runs(averages))
    assert [warning.name for warning in warnings] == names


def test_a_warning_says_what_was_seen_and_what_to_do_about_it() -> None:
    warnings = find_warnings(case(replace(QUICK, target=0)), runs([94, 103, 97, 100, 105, 100]))
    remedy = "something else is running, see `harness devices check pi4`"
    assert warnings == [Warning("spread", "run-to-run spread 11%", remedy=remedy)]


@pytest.mark.parametrize(
    ("sensors", "usual_khz", "disturbance"),
    [
        (SensorSummary(), None, ""),
        (SensorSummary(throttled=False, busy=0.1, frequency_khz=900.0), 1000.0, ""),
        (SensorSummary(throttled=True), None, "throttled"),
        (SensorSummary(busy=0.11), None, "others used 11% of its CPU time"),
        (SensorSummary(frequency_khz=899.0), 1000.0, "slowed down to 90% of its clock"),
        (SensorSummary(frequency_khz=899.0), None, ""),
    ],
)
def test_a_disturbance_of_a_process_is_described(
    sensors: SensorSummary, usual_khz: float | None, disturbance: str
) -> None:
    assert describe_disturbance(sensors, GATES, usual_khz=usual_khz) == disturbance
    assert describe_disturbance(sensors, None, usual_khz=usual_khz) == "", "no gates: all count"


def test_disturbed_processes_do_not_count_unless_too_few_others_remain() -> None:
    calm, loud = runs([100] * MIN_RUNS), [run(900, 7, disturbed="throttled")] * 3
    assert select_counted([*calm, *loud]) == calm
    assert values("disturbed", calm + loud) == ["3 of 9 processes (throttled), these do not count"]
    assert select_counted([*calm[1:], *loud]) == [*calm[1:], *loud]
    assert values("disturbed", calm[1:] + loud) == [
        "3 of 8 processes (throttled), all count, as too few others remain"
    ]


def values(name: str, of_runs: Sequence[Run]) -> list[str]:
    """Return what the warnings of that name have seen."""
    return [warning.value for warning in find_warnings(case(), of_runs) if warning.name == name]


def test_an_unsteady_clock_between_processes_that_count_gives_a_warning() -> None:
    clocks = [
        run(100, number, sensors=SensorSummary(frequency_khz=khz))
        for number, khz in enumerate([1e6] * 5 + [0.94e6])
    ]
    assert values("unsteady_clock", clocks) == ["0.94 to 1.00 GHz"]


STEADY = [100.0, 101.0, 99.0, 100.0, 100.5]


@pytest.mark.parametrize(
    ("latest", "history", "flagged"),
    [
        (150, STEADY, True),
        (60, STEADY, True),
        (103, STEADY, False),
        (150, STEADY[:4], False),
        (106, [80.0, 120.0, 100.0, 95.0, 110.0], False),
        (106, [100.0] * 5, True),
        (104, [100.0] * 5, False),
    ],
)
def test_a_canary_is_compared_with_its_own_past(
    latest: float, history: list[float], *, flagged: bool
) -> None:
    warning = check_canary("pi4", latest, history_us=history)
    assert (warning is not None) == flagged


def test_only_warnings_that_no_run_gives_rise_to_are_kept_by_a_later_reading() -> None:
    circumstances = [
        make_warning("canary", "off", device="pi4"),
        make_warning("not_settled", "70 °C, over 60 °C", device="pi4"),
    ]
    warnings = [*find_warnings(case(), runs([100] * 5)), *circumstances]
    assert select_circumstances(warnings) == circumstances
    assert len(warnings) > len(circumstances)
    assert select_circumstances([]) == []


@pytest.mark.parametrize("name", WARNINGS)
def test_every_warning_of_the_catalogue_is_stored_without_escapes(name: str) -> None:
    warning = make_warning(name, "value", device="pi4")
    assert format_quality([warning]) == str(warning)
    assert parse_quality(str(warning)) == (warning,)


def test_the_manual_lists_every_warning_with_its_condition_reason_and_remedy(
    repository: Path,
) -> None:
    page = (repository / "docs" / "reference" / "warnings.md").read_text()
    for name, rule in WARNINGS.items():
        remedy = rule.remedy.format(device="DEVICE")
        assert f"| `{name}` | {rule.condition} | {rule.reason} | {remedy} |" in page.splitlines()
