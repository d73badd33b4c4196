"""Comparisons as rows: the same columns in data frames and in JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.comparison import Comparison, Estimate
from harness.report.export.files import as_json
from harness.report.variants import label_rows

if TYPE_CHECKING:
    from harness.report.verdicts import ComparisonRequest

Columns = tuple[str, ...]


def tabulate_comparisons(compared: Sequence[Comparison]) -> tuple[Columns, tuple[Any, ...]]:
    """Return the columns and a row for each of one or more comparisons.

    `harness.report.compare` documents the columns.
    """
    labels = label_rows([comparison.pair.candidate for comparison in compared])
    rows = [
        _make_row(comparison, label) for comparison, label in zip(compared, labels, strict=True)
    ]
    return tuple(rows[0]), tuple(tuple(row.values()) for row in rows)


def as_json_lines(comparisons: list[Comparison], _: "ComparisonRequest") -> bytes:
    """Return JSON Lines, an object for each comparison; every metric is in it."""
    return as_json(*tabulate_comparisons(comparisons))


def _make_row(comparison: Comparison, label: str) -> dict[str, Any]:
    baseline, candidate = comparison.pair.baseline, comparison.pair.candidate
    accuracy = comparison.accuracy or Estimate(float("nan"))
    return {
        "device": candidate["device"],
        "threads": candidate["threads"],
        "variant": label,
        "model": candidate["model"],
        "baseline_artifact": baseline["artifact"],
        "candidate_artifact": candidate["artifact"],
        "baseline_latency_us": baseline["latency_us"],
        "candidate_latency_us": candidate["latency_us"],
        "ratio": comparison.latency.value,
        "ratio_low": comparison.latency.low,
        "ratio_high": comparison.latency.high,
        "verdict": str(comparison.verdict),
        "basis": str(comparison.basis),
        "reference_artifact": comparison.reference,
        "p": comparison.p,
        "smallest_change": comparison.latency.smallest_change,
        "size_ratio": comparison.size.value,
        "baseline_accuracy": baseline["accuracy"],
        "candidate_accuracy": candidate["accuracy"],
        "accuracy_difference": accuracy.value,
        "accuracy_difference_low": accuracy.low,
        "accuracy_difference_high": accuracy.high,
        "differences": "; ".join(comparison.pair.differences),
    }
