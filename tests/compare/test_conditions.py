import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.compare.conditions import describe_link, list_differences
from harness.compare.links import CaseLink
from harness.core.bench import Protocol
from harness.core.comparison import Basis, Evidence, Pair
from harness.core.ids import to_plain
from tests.rows import protocol_settings, result_row

ROW = result_row()
BLOCK = {("b1", 0): 1.0}


def clocks(*khz: int) -> dict[str, str]:
    return {
        "cpufreq": ";".join(
            [
                "/cpufreq",
                *(f"policy{cpu} {cpu} {max_khz} ondemand" for cpu, max_khz in enumerate(khz)),
            ]
        )
    }


def differences_of(
    candidate: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Compare two rows of one block, which differ from `ROW` in these columns."""
    pair = Pair({**ROW, **(baseline or {})}, {**ROW, **candidate})
    evidence = Evidence((1.0,), BLOCK)
    return list_differences(pair, evidence, candidate=evidence)


def differences_of_facts(
    baseline: Mapping[str, str], candidate: Mapping[str, str]
) -> tuple[str, ...]:
    return list_differences(
        Pair(ROW, ROW),
        Evidence((1.0,), BLOCK, facts=baseline),
        candidate=Evidence((1.0,), BLOCK, facts=candidate),
    )


def test_equal_conditions_have_no_differences() -> None:
    assert differences_of({}) == ()


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ({"tool_sha256": "4d5e6f" + "0" * 58}, "tool python_runner: 111111… → 4d5e6f…"),
        (
            {"tool": "lce_benchmark_model", "tool_sha256": "2" * 64},
            "tool python_runner → lce_benchmark_model",
        ),
        (
            {"interpreter": "an interpreter 2.0"},
            "interpreter an interpreter 1.0 → an interpreter 2.0",
        ),
        ({"interpreter": ""}, "interpreter an interpreter 1.0 → none"),
        (
            {"protocol": "standard", "protocol_settings": protocol_settings("standard")},
            "protocol quick → standard",
        ),
        ({"protocol_settings": protocol_settings(num_runs=50)}, "protocol quick: num_runs 20 → 50"),
        ({"protocol_settings": protocol_settings(gates=None, order="sequential")},
         "protocol quick: order interleaved → sequential, max_wait_s 5.0 → none, "
         "max_temperature_c 60.0 → none, "
         "max_busy 0.1 → none, min_battery 20 → none, unplugged False → none"),
        ({"cpus": "2,3"}, "cores any → 2,3"),
    ],
)  # fmt: skip
def test_each_difference_between_rows_is_named(candidate: dict[str, Any], expected: str) -> None:
    assert differences_of(candidate) == (expected,)


def test_settings_that_an_old_version_lacked_have_their_defaults() -> None:
    """The first version stored only these; a default is what it did in effect."""
    first_version = '{"name": "quick", "threads": 1, "num_runs": 20, "processes": 6}'
    current = json.dumps(to_plain(Protocol("quick", num_runs=20, processes=6, canary=True)))
    assert (
        differences_of(
            {"protocol_settings": current}, baseline={"protocol_settings": first_version}
        )
        == ()
    )


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
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
def test_a_change_of_the_device_is_named(
    baseline: dict[str, str], candidate: dict[str, str], expected: str | None
) -> None:
    differences = differences_of_facts(baseline, candidate)
    assert differences == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        (1.8e6, 0.6e6, ("clock 1.80 GHz → 0.60 GHz",)),
        (1.8e6, 1.75e6, ()),
        (1.8e6, None, ()),
    ],
)
def test_a_different_clock_during_the_runs_is_named(
    baseline: float | None, candidate: float | None, expected: tuple[str, ...]
) -> None:
    differences = differences_of({"frequency_khz": candidate}, baseline={"frequency_khz": baseline})
    assert differences == expected


def test_a_different_version_of_the_harness_is_named() -> None:
    differences = list_differences(
        Pair(ROW, ROW),
        Evidence((), BLOCK, facts={}, harness_version="1.0"),
        candidate=Evidence((), BLOCK, facts={}, harness_version="1.1"),
    )
    assert differences == ("harness 1.0 → 1.1",)


@pytest.mark.parametrize(
    ("measured_at", "span"),
    [
        ("2024-01-01T00:00:20.123Z", "under a minute"),
        ("2024-01-01T00:01:20.123Z", "1 minute"),
        ("2024-01-01T05:00:00+00:00", "5 hours"),
        ("2023-12-29T00:10:00Z", "3 days"),
    ],
)
def test_the_time_between_two_measurements_is_named(measured_at: str, span: str) -> None:
    pair = Pair(ROW, {**ROW, "measured_at": measured_at})
    side = Evidence((1.0,), BLOCK)
    assert describe_link(pair, CaseLink(Basis.BLOCKS, side, candidate=side)) == ""
    assert (
        describe_link(pair, CaseLink(Basis.SEPARATE, side, candidate=side))
        == f"measured {span} apart"
    )
    through = CaseLink(Basis.REFERENCE, side, candidate=side, reference="1f2e3d4c5b6a" + "0" * 52)
    assert describe_link(pair, through) == f"compared through 1f2e3d4c5b6a, measured {span} apart"
    earlier = CaseLink(Basis.BLOCKS, side, candidate=side, is_earlier=True)
    assert (
        describe_link(pair, earlier)
        == f"compared in a batch that both share, newest measured {span} apart"
    )
