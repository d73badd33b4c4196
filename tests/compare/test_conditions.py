import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.compare.conditions import describe_differences
from harness.core.bench import Protocol
from harness.core.comparison import Evidence, Pair
from harness.core.ids import to_plain
from tests.rows import protocol_settings, result_row

ROW = result_row()
BLOCK = {("b1", 0): 1.0}


def clocks(*khz: int) -> dict[str, str]:
    return {
        "cpufreq": ";".join(
            ["/cpufreq", *(f"policy{cpu} {cpu} {most} ondemand" for cpu, most in enumerate(khz))]
        )
    }


def told(
    new: Mapping[str, Any],
    facts: Mapping[str, str] | None = None,
    old: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """What differs between rows of one block."""
    pair = Pair({**ROW, **(old or {})}, {**ROW, **new})
    return describe_differences(
        pair, Evidence((1.0,), BLOCK), is_now=Evidence((1.0,), BLOCK, facts=facts or {})
    )


def test_what_was_measured_alike_differs_in_nothing() -> None:
    assert told({}) == ()


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"tool_sha256": "4d5e6f" + "0" * 58}, "tool python_runner: 111111… → 4d5e6f…"),
        ({"tool": "lce_benchmark_model", "tool_sha256": "2" * 64}, "tool python_runner → lce_benchmark_model"),
        ({"interpreter": "an interpreter 2.0"}, "interpreter an interpreter 1.0 → an interpreter 2.0"),
        ({"interpreter": ""}, "interpreter an interpreter 1.0 → none"),
        ({"protocol": "standard", "protocol_settings": protocol_settings("standard")}, "protocol quick → standard"),
        ({"protocol_settings": protocol_settings(num_runs=50)}, "protocol quick: num_runs 20 → 50"),
        ({"protocol_settings": protocol_settings(gates=None, order="sequential")},
         "protocol quick: order interleaved → sequential, max_wait_s 5.0 → none, max_temperature_c 60.0 → none, "
         "max_busy 0.1 → none, min_battery 20 → none, unplugged False → none"),
        ({"cpus": "2,3"}, "cores any → 2,3"),
    ],
)  # fmt: skip
def test_a_row_says_how_it_was_measured(new: dict[str, Any], expected: str) -> None:
    assert told(new) == (expected,)


def test_settings_of_before_there_were_more_are_those_of_then() -> None:
    """The columns of the first version; what it did not know yet has the value that it had in effect."""
    first = '{"name": "quick", "threads": 1, "num_runs": 20, "processes": 6}'
    now = json.dumps(to_plain(Protocol("quick", num_runs=20, processes=6, canary=True)))
    assert told({"protocol_settings": now}, old={"protocol_settings": first}) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"governor": "ondemand"}, {"governor": "performance"}, "governor ondemand → performance"),
        ({}, {"governor": "performance"}, "governor unknown → performance"),
        (
            {"kernel": "5.15", "glibc": "2.31", "model": "Pi 4"},
            {"kernel": "6.1", "glibc": "2.36", "model": "Pi 4"},
            "system: kernel 5.15 → 6.1, glibc 2.31 → 2.36",
        ),
        (
            {"free_bytes": "1", "temperature_c": "40"},
            {"free_bytes": "2", "temperature_c": "50"},
            None,
        ),
        (clocks(600_000, 1_800_000), clocks(600_000, 600_000), "clock 1.80 GHz → 0.60 GHz"),
        (clocks(1_800_000), clocks(1_750_000), None),
        (clocks(1_800_000), {}, None),
    ],
)
def test_a_device_that_has_changed_is_told(
    before: dict[str, str], after: dict[str, str], expected: str | None
) -> None:
    pair = Pair(ROW, ROW)
    found = describe_differences(
        pair, Evidence((1.0,), BLOCK, facts=before), is_now=Evidence((1.0,), BLOCK, facts=after)
    )
    assert found == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1.8e6, 0.6e6, ("clock 1.80 GHz → 0.60 GHz",)),
        (1.8e6, 1.75e6, ()),
        (1.8e6, None, ()),
    ],
)
def test_a_clock_that_ran_otherwise_is_told(
    old: float | None, new: float | None, expected: tuple[str, ...]
) -> None:
    assert told({"frequency_khz": new}, old={"frequency_khz": old}) == expected


def test_another_version_of_the_harness_is_told() -> None:
    found = describe_differences(
        Pair(ROW, ROW),
        Evidence((), BLOCK, facts={}, harness_version="1.0"),
        is_now=Evidence((), BLOCK, facts={}, harness_version="1.1"),
    )
    assert found == ("harness 1.0 → 1.1",)


@pytest.mark.parametrize(
    ("measured_at", "apart"),
    [
        ("2024-01-01T00:00:20.123Z", "under a minute"),
        ("2024-01-01T00:01:20.123Z", "1 minute"),
        ("2024-01-01T05:00:00+00:00", "5 hours"),
        ("2023-12-29T00:10:00Z", "3 days"),
    ],
)
def test_what_shares_no_block_is_told_with_how_long_it_was_apart(
    measured_at: str, apart: str
) -> None:
    for block in ({}, {("b2", 0): 1.0}, {("b1", 1): 1.0}):
        found = describe_differences(
            Pair(ROW, {**ROW, "measured_at": measured_at}),
            Evidence((1.0,), BLOCK),
            is_now=Evidence((1.0,), block),
        )
        assert found == (f"measured apart: {apart}",)
