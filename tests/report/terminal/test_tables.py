import io
import re
from dataclasses import replace
from math import nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from harness.core.comparison import METRICS, Basis, Comparison, Estimate, Pair, Verdict
from harness.report.terminal.tables import (
    BEST,
    describe_best,
    format_interval,
    format_points,
    format_ratio,
    make_comparison_table,
    make_leaderboard,
    print_comparison,
    print_leaderboard,
    tabulate,
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


def read_cells(table: Table) -> list[list[str]]:
    """Return the rows as they are rendered, the heading first."""
    console = Console(record=True, width=400, file=io.StringIO())
    console.print(table)
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_a_leaderboard_shows_every_variant_and_stars_the_best() -> None:
    heading, binary, floats = read_cells(make_leaderboard([BINARY, FLOAT]))
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
def test_a_leaderboard_fits_the_terminal_and_cuts_no_name(width: int) -> None:
    out = Console(width=width, file=io.StringIO())
    print_leaderboard(out, [BINARY, FLOAT])
    assert isinstance(out.file, io.StringIO)
    printed = out.file.getvalue()
    assert "…" not in printed.replace(" … ", "")
    for name in ("device", "variant", "accuracy", "size", "latency"):
        assert name in printed
    assert ("too narrow" in printed) == ("float MACs" not in printed.splitlines()[0])
    assert max(len(line) for line in printed.splitlines()) <= width


def test_every_warning_of_a_measurement_shows_in_the_leaderboard() -> None:
    noisy = {
        **BINARY,
        "quality": "few_runs: 2 processes give no interval; spread: the processes differ by 30%",
    }
    quality = read_cells(make_leaderboard([noisy]))[1][-1]
    assert "few_runs" in quality
    assert "spread" in quality


def test_each_device_and_thread_count_has_its_own_stars() -> None:
    rows = []
    for device, threads in (("pi4", 1), ("pi4", 4), ("pi5", 1)):
        rows += [{**row, "device": device, "threads": threads} for row in (BINARY, FLOAT)]
    stars = [BEST in row[6] for row in read_cells(make_leaderboard(rows))[1:]]
    assert stars == [True, False] * 3


def test_a_variant_without_a_rival_has_no_star() -> None:
    assert BEST not in str(read_cells(make_leaderboard([BINARY, {**BINARY, "device": "pi5"}])))


def test_equally_good_variants_are_all_starred() -> None:
    assert [row[6] for row in read_cells(make_leaderboard([BINARY, BINARY]))[1:]] == [
        f"100 µs {BEST}"
    ] * 2


def test_a_users_own_model_is_in_the_leaderboard() -> None:
    assert read_cells(make_leaderboard([own_model_row()]))[1][:5] == [
        "pi4",
        "1",
        "own.tflite",
        "–",
        "–",
    ]


@pytest.mark.parametrize("name", ["model[v2].tflite", "[red]hot", "a[/b]c.tflite", "[/]"])
def test_brackets_in_a_name_are_shown(name: str) -> None:
    """Rich takes brackets for markup by default."""
    assert read_cells(make_leaderboard([own_model_row(file=name)]))[1][2] == name


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 999), min_size=2, max_size=8))
def test_the_lowest_latency_is_starred(latencies: list[int]) -> None:
    rows = [{**BINARY, "latency_us": float(latency)} for latency in latencies]
    cells = [row[6] for row in read_cells(make_leaderboard(rows))[1:]]
    starred = {latency for latency, cell in zip(latencies, cells, strict=True) if BEST in cell}
    assert starred == {min(latencies)}


@pytest.mark.parametrize(
    ("low", "high", "text"), [(None, None, "–"), (90.0, 1100.0, "90 µs … 1.10 ms")]
)
def test_an_interval_is_shown_with_its_units(
    low: float | None, high: float | None, text: str
) -> None:
    assert format_interval(result_row(latency_low_us=low, latency_high_us=high)) == text


def test_a_sentence_names_the_most_accurate_smallest_and_fastest_variant() -> None:
    assert describe_best([BINARY, FLOAT]) == [
        "digits on pi4, 1 thread: most accurate mlp float32 (95.0 %), "
        "smallest mlp binary (1.00 kB), fastest mlp binary (100 µs)."
    ]


def test_each_device_and_thread_count_has_a_sentence() -> None:
    rows = [{**BINARY, "threads": 4}, {**BINARY, "device": "pi5"}, {**FLOAT, "threads": 4}]
    assert [sentence.partition(":")[0] for sentence in describe_best(rows)] == [
        "digits on pi4, 4 threads",
        "digits on pi5, 1 thread",
    ]


def test_a_sentence_on_a_users_own_models_has_no_accuracy() -> None:
    (sentence,) = describe_best([own_model_row()])
    assert sentence.startswith("your models on pi4, 1 thread: smallest own.tflite")


def test_no_rows_have_no_sentence() -> None:
    assert describe_best([]) == []


COMPARED = Comparison(
    Pair(FLOAT, BINARY),
    Estimate(0.025, 0.02, high=0.03, p=0.001, smallest_change=0.031),
    size=Estimate(0.25),
    accuracy=Estimate(-0.05, -0.081, high=-0.019),
    verdict=Verdict.FASTER,
)


def test_a_comparison_shows_both_values_and_their_ratio_or_difference() -> None:
    heading, row = read_cells(
        make_comparison_table([COMPARED], ["latency", "size", "accuracy", "memory"])
    )
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
    heading, row = read_cells(make_comparison_table([COMPARED], [metric]))
    assert len(heading) == len(row) == (7 if metric == "latency" else 5)


@pytest.mark.parametrize(
    "metrics", [["latency", "size", "accuracy"], ["accuracy"], list(METRICS)], ids=str
)
@pytest.mark.parametrize("width", [240, 160, 120])
def test_a_comparison_fits_the_terminal_and_cuts_no_ratio(width: int, metrics: list[str]) -> None:
    out = Console(width=width, file=io.StringIO())
    print_comparison(out, [COMPARED], metrics=metrics)
    assert isinstance(out.file, io.StringIO)
    printed = out.file.getvalue()
    assert "…" not in printed.replace(" … ", "")
    assert ("-5.0 points (-8.1 … -1.9)" in printed) == ("accuracy" in metrics)
    assert ("too narrow" in printed) == (width < 240 and len(metrics) > 1)
    assert max(len(line) for line in printed.splitlines()) <= width


def test_a_comparison_says_how_pairs_of_different_batches_were_compared() -> None:
    bridged = replace(COMPARED, basis=Basis.REFERENCE, reference="1f2e3d4c5b6a" + "0" * 52)
    separate = replace(COMPARED, basis=Basis.SEPARATE)
    compared = [COMPARED, bridged, separate]
    heading, *rows = read_cells(make_comparison_table(compared, ["latency"]))
    assert heading[-1] == "compared"
    assert [row[-1] for row in rows] == ["block by block", "through 1f2e3d4c5b6a", "apart"]
    for comparisons, metric in ((compared, "size"), (compared[:1], "latency")):
        heading, *_ = read_cells(make_comparison_table(comparisons, [metric]))
        assert "compared" not in heading


def test_an_unknown_value_is_a_dash() -> None:
    unknown = {"accuracy": None, "peak_memory_bytes": None}
    compared = Comparison(
        Pair({**FLOAT, **unknown}, {**BINARY, **unknown}),
        Estimate(1.0),
        size=Estimate(1.0),
        accuracy=None,
    )
    assert read_cells(make_comparison_table([compared], ["accuracy", "memory"]))[1][3:] == [
        "– → –",
        "–",
        "– → –",
        "–",
    ]
    assert read_cells(make_comparison_table([compared], ["latency"]))[1][4:] == [
        "× 1",
        "unknown",
        "–",
    ]


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (Estimate(2.0), "× 2"),
        (Estimate(0.1234, 0.1, high=0.15), "× 0.123 (0.1 … 0.15)"),
        (Estimate(1.0, 0.5), "× 1"),
        (Estimate(nan), "–"),
    ],
)
def test_a_ratio_is_shown_with_its_interval(ratio: Estimate, text: str) -> None:
    assert format_ratio(ratio) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (None, "–"),
        (Estimate(0.0123), "+1.2 points"),
        (Estimate(-0.0577, -0.0812, high=0.0036), "-5.8 points (-8.1 … +0.4)"),
    ],
)
def test_a_difference_of_accuracy_is_shown_in_points(
    difference: Estimate | None, text: str
) -> None:
    assert format_points(difference) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (1 / 3, "0.333333"),
        ("word", "word"),
        ("[1, 2]", "[1, 2]"),
        ("[red]", "[red]"),
        ("a [/b]", "a [/b]"),
    ],
)
def test_a_querys_value_is_shown_as_it_is(value: Any, text: str) -> None:
    assert read_cells(tabulate(["value"], [[value]])) == [["value"], [text]]


def test_a_querys_null_is_an_empty_cell() -> None:
    assert read_cells(tabulate(["a", "b"], [[None, 1]])) == [["a", "b"], ["1"]]
