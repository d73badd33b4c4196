"""Each warning at both sides of its threshold; the manual's table is the code's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.quality import (
    LEAST_RUNS,
    RULES,
    canary_warning,
    circumstances,
    counting,
    disturbance,
    names,
    quality,
    warning,
)
from harness.core.bench import (
    PROTOCOLS,
    Case,
    Gates,
    Process,
    Protocol,
    Run,
    Timing,
    Tool,
    ToolLog,
    Watched,
)

QUICK = PROTOCOLS["quick"]
GATES = Gates()


def run(average: float, number: int = 1, watched: Watched = Watched(), disturbed: str = "") -> Run:  # noqa: B008 (frozen)
    timing = Timing(50, average, min_us=average, max_us=average, avg_us=average, std_us=0)
    return Run(
        Process(number, "", seconds=1.0, exit_code=0, stdout="", stderr=""),
        ToolLog(timing),
        watched=watched,
        disturbed=disturbed,
    )


def case(protocol: Protocol = QUICK) -> Case:
    return Case("a" * 64, "pi4", tool=Tool("tool", "b" * 64), protocol=protocol)


def runs(averages: Sequence[float]) -> list[Run]:
    return [run(average, number) for number, average in enumerate(averages, 1)]


@pytest.mark.parametrize(
    ("protocol", "averages", "wanted"),
    [
        (QUICK, [100] * 6, ["ok"]),
        (QUICK, [100, 97, 95, 105, 103, 100], ["ok"]),
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
        (QUICK, [100 + number / 20 for number in range(12)], ["ok"]),
    ],
)
def test_what_is_shaky_is_named(
    protocol: Protocol, averages: list[float], wanted: list[str]
) -> None:
    assert names(quality(case(protocol), runs(averages))) == wanted


def test_a_warning_says_what_was_found_and_what_to_do_there() -> None:
    said = quality(case(replace(QUICK, target=0)), runs([94, 103, 97, 100, 105, 100]))
    assert (
        said
        == "spread: run-to-run spread 11%: something else is running, see `harness devices check pi4`"
    )


@pytest.mark.parametrize(
    ("watched", "usual_khz", "why"),
    [
        (Watched(), None, ""),
        (Watched(throttled=False, busy=0.1, frequency_khz=900.0), 1000.0, ""),
        (Watched(throttled=True), None, "throttled"),
        (Watched(busy=0.11), None, "others used 11% of its CPU time"),
        (Watched(frequency_khz=899.0), 1000.0, "slowed down to 90% of its clock"),
        (Watched(frequency_khz=899.0), None, ""),
    ],
)
def test_what_disturbs_a_process(watched: Watched, usual_khz: float | None, why: str) -> None:
    assert disturbance(watched, GATES, usual_khz=usual_khz) == why
    assert disturbance(watched, None, usual_khz=usual_khz) == "", "without gates all count"


def test_disturbed_processes_do_not_count_unless_too_few_would_be_left() -> None:
    calm, loud = runs([100] * LEAST_RUNS), [run(900, 7, disturbed="throttled")] * 3
    assert counting([*calm, *loud]) == calm
    assert "disturbed: 3 of 9 processes (throttled), these do not count" in quality(
        case(), [*calm, *loud]
    )
    assert counting([*calm[1:], *loud]) == [*calm[1:], *loud]
    assert "all count, as too few would be left" in quality(case(), [*calm[1:], *loud])


def test_a_clock_that_is_unsteady_between_processes_that_count() -> None:
    clocks = [
        run(100, number, watched=Watched(frequency_khz=khz))
        for number, khz in enumerate([1e6] * 5 + [0.94e6])
    ]
    assert "unsteady_clock: 0.94 to 1.00 GHz" in quality(case(), clocks)


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
def test_a_canary_against_its_own_past(latest: float, history: list[float], flagged: bool) -> None:
    assert bool(canary_warning("pi4", latest, history_us=history)) == flagged


def test_what_no_process_tells_is_kept_by_a_later_reading() -> None:
    told = quality(
        case(),
        runs([100] * 5),
        found_around=[
            warning("canary", "off", device="pi4"),
            warning("not_settled", "70 °C, over 60 °C", device="pi4"),
        ],
    )
    assert [one.partition(":")[0] for one in circumstances(told)] == ["canary", "not_settled"]
    assert circumstances("ok") == []


def test_every_warning_has_a_remedy_and_no_separator_inside() -> None:
    for name in RULES:
        assert names(warning(name, "found", device="pi4")) == [name]


def test_the_manual_lists_every_warning_with_its_threshold_reason_and_remedy(
    repository: Path,
) -> None:
    page = (repository / "docs" / "reference" / "warnings.md").read_text()
    for name, rule in RULES.items():
        remedy = rule.remedy.format(device="DEVICE")
        assert f"| `{name}` | {rule.when} | {rule.why} | {remedy} |" in page.splitlines()
