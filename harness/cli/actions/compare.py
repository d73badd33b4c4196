"""The work of `harness compare`."""

import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path

from harness.cli.actions.ask import save
from harness.cli.actions.session import Session, console
from harness.compare.pairs import compare_rows
from harness.core.comparison import METRICS, Comparison
from harness.core.errors import RequestError
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

_WRITERS = {"junit": as_junit, "markdown": as_markdown}
_FORMATS = ("table", *_WRITERS)


def compare(
    baseline: str,
    candidate: str,
    metrics: Sequence[str],
    fail_on_regression: str | None,
    format: str,
    out: Path | None,
) -> int:
    """How many regressions there are over the limit."""
    if unknown := sorted(set(metrics) - set(METRICS)):
        raise RequestError(f"--metric {unknown[0]}: is not known; known: {', '.join(METRICS)}.")
    if format not in _FORMATS:
        raise RequestError(f"--format {format}: is not known; known: {', '.join(_FORMATS)}.")
    if format == "table" and out is not None:
        raise RequestError(
            f"--out {out}: is for --format {' or '.join(_WRITERS)}; a table is printed."
        )
    limit = _share(fail_on_regression) if fail_on_regression is not None else None
    asked = ComparisonRequest(baseline, candidate, metrics=tuple(metrics), limit=limit)
    reader = Session.here().reader
    found = compare_rows(reader, read_results(reader), baseline=baseline, candidate=candidate)
    _write(found, asked, format=format, out=out)
    return _judge(found, asked)


def _write(
    found: list[Comparison], asked: ComparisonRequest, format: str, out: Path | None
) -> None:
    if format == "table":
        _print(found, asked)
    elif out is not None:
        save(out, _WRITERS[format](found, asked))
    else:
        sys.stdout.buffer.write(_WRITERS[format](found, asked))


def _print(found: list[Comparison], asked: ComparisonRequest) -> None:
    out = console()
    out.print(f"{asked.title}. {LEGEND}")
    print_comparison(out, found, metrics=asked.metrics)
    for line in describe_comparison(found, asked):
        out.print(line, soft_wrap=True)


def _judge(found: list[Comparison], asked: ComparisonRequest) -> int:
    """How many regressions there are over the limit; on standard error each of them, and what could not be seen."""
    worse = [line for one in found for line in describe_regressions(one, asked)]
    for line in (*worse, *describe_undetectable(found, asked)):
        print(line, file=sys.stderr)
    return len(worse)


def _share(percent: str) -> float:
    try:
        share = float(percent.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < inf:
        raise RequestError(
            f"--fail-on-regression {percent}: has to be a number of percent of 0 or more, for example 3%."
        )
    return share
