import io
import re
from math import nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from harness.core.comparison import METRICS, Comparison, Estimate, Pair, Verdict
from harness.report.terminal.tables import (
    BEST,
    comparison,
    conclusions,
    interval,
    leaderboard,
    plain_rows,
    print_comparison,
    print_leaderboard,
    show_points,
    show_ratio,
    told_differences,
    verdicts,
)
from tests.rows import own_model_row, result_row

FLOAT = result_row(
    precision="float32",
    accuracy=0.95,
    size_bytes=4000,
    latency_us=4000.0,
    latency_low_us=None,
    latency_high_us=None,
    quality="few_runs: 1 processes give no 95 % interval, measure with 6 or more",
)
BINARY = result_row()


def cells(table: Table) -> list[list[str]]:
    """The rows as they are rendered, the heading first."""
    console = Console(record=True, width=400, file=io.StringIO())
    console.print(table)
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_a_leaderboard_shows_every_variant_and_stars_the_best() -> None:
    heading, binary, floats = cells(leaderboard([BINARY, FLOAT]))
    assert heading == [
        *(
            "device",
            "threads",
            "variant",
            "precision",
            "accuracy",
            "size",
            "latency",
            "95 % interval",
        ),
        *("binary MACs", "float MACs", "quality"),
    ]
    assert binary == [
        *(
            "pi4",
            "1",
            "mlp",
            "binary",
            "90.0 %",
            f"1.00 kB {BEST}",
            f"100 µs {BEST}",
            "90 µs … 110 µs",
        ),
        *("2.00 k", "3.00 k", "ok"),
    ]
    assert floats == [
        *(
            "pi4",
            "1",
            "mlp",
            "float32",
            f"95.0 % {BEST}",
            "4.00 kB",
            "4.00 ms",
            "–",
            "2.00 k",
            "3.00 k",
            "few_runs",
        ),
    ]


@pytest.mark.parametrize("width", [160, 120, 100, 80, 60])
def test_a_leaderboard_fits_the_terminal_and_its_names_are_whole(width: int) -> None:
    out = Console(width=width, file=io.StringIO())
    print_leaderboard(out, [BINARY, FLOAT])
    assert isinstance(out.file, io.StringIO)
    printed = out.file.getvalue()
    assert "…" not in printed.replace(" … ", "")
    for name in ("device", "variant", "accuracy", "size", "latency"):
        assert name in printed
    assert ("No room here" in printed) == ("float MACs" not in printed.splitlines()[0])
    assert max(len(line) for line in printed.splitlines()) <= width


def test_every_warning_of_a_measurement_shows_in_the_leaderboard() -> None:
    shaky = {
        **BINARY,
        "quality": "few_runs: 2 processes give no interval; spread: the processes differ by 30%",
    }
    quality = cells(leaderboard([shaky]))[1][-1]
    assert "few_runs" in quality
    assert "spread" in quality


def test_the_best_are_starred_device_by_device_and_thread_count_by_thread_count() -> None:
    rows = [
        {**row, "device": device, "threads": threads}
        for device, threads in (("pi4", 1), ("pi4", 4), ("pi5", 1))
        for row in (BINARY, FLOAT)
    ]
    stars = [BEST in row[6] for row in cells(leaderboard(rows))[1:]]
    assert stars == [True, False] * 3


def test_a_variant_that_has_no_rival_has_no_star() -> None:
    assert BEST not in str(cells(leaderboard([BINARY, {**BINARY, "device": "pi5"}])))


def test_equals_are_starred_alike() -> None:
    assert [row[6] for row in cells(leaderboard([BINARY, BINARY]))[1:]] == [f"100 µs {BEST}"] * 2


def test_a_model_of_ones_own_stands_in_the_leaderboard() -> None:
    assert cells(leaderboard([own_model_row()]))[1][:5] == ["pi4", "1", "own.tflite", "–", "–"]


@pytest.mark.parametrize("name", ["model[v2].tflite", "[red]hot", "a[/b]c.tflite", "[/]"])
def test_brackets_in_a_name_are_shown(name: str) -> None:
    """rich takes them for markup, unless told otherwise."""
    assert cells(leaderboard([own_model_row(file=name)]))[1][2] == name


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 999), min_size=2, max_size=8))
def test_the_starred_latency_is_the_least(latencies: list[int]) -> None:
    shown = [
        row[6]
        for row in cells(leaderboard([{**BINARY, "latency_us": float(one)} for one in latencies]))[
            1:
        ]
    ]
    starred = {latency for latency, cell in zip(latencies, shown, strict=True) if BEST in cell}
    assert starred == {min(latencies)}


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(None, None, "–"), (90.0, 1100.0, "90 µs … 1.10 ms")]
)
def test_an_interval(low: float | None, high: float | None, shown: str) -> None:
    assert interval(result_row(latency_low_us=low, latency_high_us=high)) == shown


def test_a_verdict_names_the_most_accurate_smallest_and_fastest() -> None:
    assert verdicts([BINARY, FLOAT]) == [
        "digits on pi4, 1 thread: most accurate mlp float32 (95.0 %), smallest mlp binary (1.00 kB), "
        "fastest mlp binary (100 µs)."
    ]


def test_there_is_a_verdict_for_each_device_and_thread_count() -> None:
    rows = [{**BINARY, "threads": 4}, {**BINARY, "device": "pi5"}, {**FLOAT, "threads": 4}]
    assert [verdict.partition(":")[0] for verdict in verdicts(rows)] == [
        "digits on pi4, 4 threads",
        "digits on pi5, 1 thread",
    ]


def test_a_verdict_on_models_of_ones_own_knows_no_accuracy() -> None:
    (verdict,) = verdicts([own_model_row()])
    assert verdict.startswith("your models on pi4, 1 thread: smallest own.tflite")


def test_nothing_has_no_verdict() -> None:
    assert verdicts([]) == []


COMPARED = Comparison(
    Pair(FLOAT, BINARY),
    Estimate(0.025, 0.02, high=0.03, p=0.001, smallest_change=0.031),
    size=Estimate(0.25),
    accuracy=Estimate(-0.05, -0.081, high=-0.019),
    verdict=Verdict.FASTER,
)


def test_a_comparison_shows_both_values_and_what_lies_between_them() -> None:
    heading, row = cells(comparison([COMPARED], ["latency", "size", "accuracy", "memory"]))
    assert dict(zip(heading, row, strict=True)) == {
        "device": "pi4",
        "threads": "1",
        "variant": "mlp",
        "latency": "4.00 ms → 100 µs",
        "ratio": "× 0.025 (0.02 … 0.03)",
        "verdict": "faster",
        "smallest change": "3.1 %",
        "size": "4.00 kB → 1.00 kB",
        "size ratio": "× 0.25",
        "accuracy": "95.0 % → 90.0 %",
        "difference": "-5.0 points (-8.1 … -1.9)",
        "peak memory": "1.00 MB → 1.00 MB",
        "memory ratio": "× 1",
    }


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_shown_alone(metric: str) -> None:
    heading, row = cells(comparison([COMPARED], [metric]))
    assert len(heading) == len(row) == (7 if metric == "latency" else 5)


@pytest.mark.parametrize(
    "metrics", [["latency", "size", "accuracy"], ["accuracy"], list(METRICS)], ids=str
)
@pytest.mark.parametrize("width", [240, 160, 120])
def test_a_comparison_fits_the_terminal_and_its_ratios_are_whole(
    width: int, metrics: list[str]
) -> None:
    out = Console(width=width, file=io.StringIO())
    print_comparison(out, [COMPARED], metrics=metrics)
    assert isinstance(out.file, io.StringIO)
    printed = out.file.getvalue()
    assert "…" not in printed.replace(" … ", "")
    assert ("-5.0 points (-8.1 … -1.9)" in printed) == ("accuracy" in metrics)
    assert ("No room here" in printed) == (width < 240 and len(metrics) > 1)
    assert max(len(line) for line in printed.splitlines()) <= width


def test_what_is_not_known_is_a_dash() -> None:
    unknown = {"accuracy": None, "peak_memory_bytes": None}
    compared = Comparison(
        Pair({**FLOAT, **unknown}, {**BINARY, **unknown}),
        Estimate(1.0),
        size=Estimate(1.0),
        accuracy=None,
    )
    assert cells(comparison([compared], ["accuracy", "memory"]))[1][3:] == [
        "– → –",
        "–",
        "– → –",
        "–",
    ]
    assert cells(comparison([compared], ["latency"]))[1][4:] == ["× 1", "unknown", "–"]


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (Estimate(2.0), "× 2"),
        (Estimate(0.1234, 0.1, high=0.15), "× 0.123 (0.1 … 0.15)"),
        (Estimate(1.0, 0.5), "× 1"),
        (Estimate(nan), "–"),
    ],
)
def test_a_ratio(ratio: Estimate, shown: str) -> None:
    assert show_ratio(ratio) == shown


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        (None, "–"),
        (Estimate(0.0123), "+1.2 points"),
        (Estimate(-0.0577, -0.0812, high=0.0036), "-5.8 points (-8.1 … +0.4)"),
    ],
)
def test_a_difference_of_accuracy(difference: Estimate | None, shown: str) -> None:
    assert show_points(difference) == shown


def found(
    verdict: Verdict, ratio: float = 1.0, least: float | None = None, **row: Any
) -> Comparison:
    return Comparison(
        Pair(FLOAT, result_row(**row)),
        Estimate(ratio, smallest_change=least),
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
                *(found(FASTER, ratio) for ratio in (0.5, 0.84, 0.21)),
                found(NO_DIFFERENCE, 1.01, least=0.031),
            ],
            "binary is faster in 3 of 4 variants (× 0.21 to × 0.84), no difference found in 1, "
            "where a change of 3.1 % would have shown.",
        ),
        (
            [found(SLOWER, 1.2), found(FASTER, 0.5)],
            "binary is faster in 1 of 2 variants (× 0.5), slower in 1 (× 1.2).",
        ),
        (
            [found(NO_DIFFERENCE, 1.0, least=least) for least in (0.02, 0.08, None)],
            "no difference found in 3 of 3 variants, where a change of 8.0 % would have shown.",
        ),
        ([found(NO_DIFFERENCE)], "no difference found in 1 of 1 variant."),
        (
            [found(UNKNOWN)],
            "unknown in 1 of 1 variant, whose runs are too few or too short to tell.",
        ),
    ],
)
def test_a_conclusion_counts_the_verdicts(compared: list[Comparison], sentence: str) -> None:
    assert conclusions(compared, "binary") == [f"pi4, 1 thread: {sentence}"]


def test_there_is_a_conclusion_for_each_device_and_thread_count() -> None:
    compared = [
        found(FASTER, 0.5),
        found(FASTER, 0.5, threads=4),
        found(SLOWER, 2, device="pi5"),
        found(FASTER, 0.5),
    ]
    assert [sentence.partition(" (")[0] for sentence in conclusions(compared, "cccc")] == [
        "pi4, 1 thread: cccc is faster in 2 of 2 variants",
        "pi4, 4 threads: cccc is faster in 1 of 1 variant",
        "pi5, 1 thread: cccc is slower in 1 of 1 variant",
    ]


def test_each_difference_is_told_once_with_where_it_is() -> None:
    tool, clock = "tool x: 1a2b3c… → 4d5e6f…", "clock 1.80 GHz → 0.60 GHz"
    compared = [
        Comparison(
            Pair(FLOAT, {**BINARY, "device": device}, differences=differences),
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
    assert told_differences(compared) == [f"pi4, pi5: {tool}", f"pi4 (1 of 2): {clock}"]
    assert told_differences(compared[-1:]) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (1 / 3, "0.333333"),
        ("word", "word"),
        ("[1, 2]", "[1, 2]"),
        ("[red]", "[red]"),
        ("a [/b]", "a [/b]"),
    ],
)
def test_a_querys_value_is_shown_as_it_is(value: Any, shown: str) -> None:
    assert cells(plain_rows(["value"], [[value]])) == [["value"], [shown]]


def test_a_querys_null_is_empty() -> None:
    assert cells(plain_rows(["a", "b"], [[None, 1]])) == [["a", "b"], ["1"]]
