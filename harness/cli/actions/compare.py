"""The implementation of `harness compare`."""

import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path

from harness.cli.actions.ask import save
from harness.cli.actions.session import Session, make_console
from harness.compare.pairs import compare_rows
from harness.core.comparison import METRICS, Comparison
from harness.core.errors import RequestError
from harness.report.export.comparisons import as_json_lines
from harness.report.export.junit import as_junit
from harness.report.export.markdown import as_markdown
from harness.report.terminal.tables import print_comparison
from harness.report.verdicts import (
    LEGEND,
    ComparisonRequest,
    describe_comparison,
    describe_regressions,
    describe_undetectable,
)
from harness.store.reading import read_results

_WRITERS = {"json": as_json_lines, "junit": as_junit, "markdown": as_markdown}
_FORMATS = ("table", *_WRITERS)


def compare(
    baseline: str,
    candidate: str,
    *,
    metrics: Sequence[str],
    fail_on_regression: str | None,
    format: str,
    out: Path | None,
) -> int:
    """Print or write the comparison, and return how many regressions exceed the limit."""
    if unknown := sorted(set(metrics) - set(METRICS)):
        raise RequestError(f"--metric {unknown[0]}: unknown metric; use {', '.join(METRICS)}.")
    if format not in _FORMATS:
        raise RequestError(f"--format {format}: unknown format; use {', '.join(_FORMATS)}.")
    if format == "table" and out is not None:
        raise RequestError(
            f"--out {out}: needs --format {' or '.join(_WRITERS)}; a table is only printed."
        )
    limit = _parse_percent(fail_on_regression) if fail_on_regression is not None else None
    request = ComparisonRequest(baseline, candidate, metrics=tuple(metrics), limit=limit)
    reader = Session.from_environment().reader
    rows = read_results(reader, selectors=(baseline, candidate))
    comparisons = compare_rows(reader, rows, baseline=baseline, candidate=candidate)
    _write(comparisons, request, format=format, out=out)
    return _report_regressions(comparisons, request)


def _write(
    comparisons: list[Comparison], request: ComparisonRequest, format: str, out: Path | None
) -> None:
    if format == "table":
        _print(comparisons, request)
    elif out is not None:
        save(out, _WRITERS[format](comparisons, request))
    else:
        sys.stdout.buffer.write(_WRITERS[format](comparisons, request))


def _print(comparisons: list[Comparison], request: ComparisonRequest) -> None:
    out = make_console()
    out.print(f"{request.title}. {LEGEND}")
    print_comparison(out, comparisons, metrics=request.metrics)
    for line in describe_comparison(comparisons, request):
        out.print(line, soft_wrap=True)


def _report_regressions(comparisons: list[Comparison], request: ComparisonRequest) -> int:
    """Print regressions and undetectable changes to standard error; return how many regressions."""
    regressions: list[str] = []
    for comparison in comparisons:
        regressions += describe_regressions(comparison, request)
    for line in (*regressions, *describe_undetectable(comparisons, request)):
        print(line, file=sys.stderr)
    return len(regressions)


def _parse_percent(percent: str) -> float:
    try:
        share = float(percent.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < inf:
        raise RequestError(
            f"--fail-on-regression {percent}: give a percentage of 0 or more, for example 3%."
        )
    return share
