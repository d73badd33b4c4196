from typing import Any

import pytest

from harness.core.comparison import Comparison, Estimate, Pair, Verdict
from harness.report.verdicts import describe_differences, summarize_verdicts
from tests.rows import result_row


def compare(
    verdict: Verdict, ratio: float = 1.0, smallest_change: float | None = None, **columns: Any
) -> Comparison:
    return Comparison(
        Pair(result_row(precision="float32"), result_row(**columns)),
        Estimate(ratio, smallest_change=smallest_change),
        size=Estimate(1.0),
        accuracy=None,
        verdict=verdict,
    )


FASTER, SLOWER, NO_DIFFERENCE, UNKNOWN = Verdict


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [
        (
            [
                *(compare(FASTER, ratio) for ratio in (0.5, 0.84, 0.21)),
                compare(NO_DIFFERENCE, 1.01, smallest_change=0.031),
            ],
            "binary is faster in 3 of 4 variants (× 0.21 to × 0.84), no difference found in 1 "
            "(a change of 3.1 % would have been detected).",
        ),
        (
            [compare(SLOWER, 1.2), compare(FASTER, 0.5)],
            "binary is faster in 1 of 2 variants (× 0.5), slower in 1 (× 1.2).",
        ),
        (
            [compare(NO_DIFFERENCE, 1.0, smallest_change=change) for change in (0.02, 0.08, None)],
            "no difference found in 3 of 3 variants (a change of 8.0 % would have been detected).",
        ),
        ([compare(NO_DIFFERENCE)], "no difference found in 1 of 1 variant."),
        (
            [compare(UNKNOWN)],
            "unknown in 1 of 1 variant (too few or too short runs to tell).",
        ),
    ],
)
def test_a_summary_counts_the_verdicts(compared: list[Comparison], sentence: str) -> None:
    assert summarize_verdicts(compared, "binary") == [f"pi4, 1 thread: {sentence}"]


def test_each_device_and_thread_count_has_a_summary() -> None:
    compared = [
        compare(FASTER, 0.5),
        compare(FASTER, 0.5, threads=4),
        compare(SLOWER, 2, device="pi5"),
        compare(FASTER, 0.5),
    ]
    assert [sentence.partition(" (")[0] for sentence in summarize_verdicts(compared, "cccc")] == [
        "pi4, 1 thread: cccc is faster in 2 of 2 variants",
        "pi4, 4 threads: cccc is faster in 1 of 1 variant",
        "pi5, 1 thread: cccc is slower in 1 of 1 variant",
    ]


def test_each_difference_is_listed_once_with_its_devices() -> None:
    tool, clock = "tool x: 1a2b3c… → 4d5e6f…", "clock 1.80 GHz → 0.60 GHz"
    compared = [
        Comparison(
            Pair(result_row(), result_row(device=device), differences=differences),
            Estimate(1.0),
            size=Estimate(1.0),
            accuracy=None,
        )
        for device, differences in (
            ("pi4", (tool,)),
            ("pi4", (tool, clock)),
            ("pi5", (tool,)),
            ("here", ()),
        )
    ]
    assert describe_differences(compared) == [f"pi4, pi5: {tool}", f"pi4 (1 of 2): {clock}"]
    assert describe_differences(compared[-1:]) == []
