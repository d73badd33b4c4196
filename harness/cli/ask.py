"""The work of `harness query`, `harness compare` and `harness status`."""

import sys
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path

from harness.cli.jobs import print_jobs
from harness.cli.session import Session, console
from harness.core.comparison import METRICS, Comparison
from harness.core.errors import RequestError
from harness.core.units import counted
from harness.pipeline.regression import is_unseen, regression
from harness.report.files import FORMATS, WRITERS
from harness.report.tables import add, conclusions, plain_rows, print_comparison, table, told_differences
from harness.store.reading import Rows, ask, correct_images, evidence, named_queries, results


def query(question: str | None, format: str, out: Path | None) -> None:
    if format not in FORMATS:
        raise RequestError(f"--format {format}: is not known; known: {', '.join(FORMATS)}.")
    queries = named_queries()
    if question is None:
        console().print(plain_rows(("query", "what it answers"), [(one.name, one.purpose) for one in queries.values()]))
        return
    if question not in queries and len(question.split()) == 1:
        raise RequestError(f"{question!r} is no named query; known: {', '.join(queries)}; SQL has spaces.")
    sql = queries[question].sql if question in queries else question
    _write(ask(Session.here().reader, sql), format, out)


def _write(rows: Rows, format: str, out: Path | None) -> None:
    if format == "table" and out is None:
        console().print(plain_rows(rows.columns, rows.values))
        return
    content = WRITERS["csv" if format == "table" else format](rows.columns, rows.values)
    if out is not None:
        _save(out, content)
    elif format == "parquet" and sys.stdout.isatty():
        raise RequestError("--format parquet: is no text; give --out FILE.")
    else:
        sys.stdout.buffer.write(content)


def _save(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        raise RequestError(f"--out {out}: can't be written: {error.strerror}; check the path.") from error


def compare(baseline: str, candidate: str, metrics: Sequence[str], fail_on_regression: str | None) -> int:
    """How many regressions there are over the limit."""
    from harness.pipeline.compare import compared, pairs, selected  # brings scipy, which `query` does not wait for

    if unknown := sorted(set(metrics) - set(METRICS)):
        raise RequestError(f"--metric {unknown[0]}: is not known; known: {', '.join(METRICS)}.")
    limit = _share(fail_on_regression) if fail_on_regression is not None else None
    reader = Session.here().reader
    rows = results(reader)
    chosen = [row for word in (baseline, candidate) for row in selected(rows, word)]
    behind = evidence(reader, {row["measurement_id"] for row in chosen})
    held = pairs(rows, baseline, candidate, behind)
    found = compared(held, behind, correct_images(reader, {row["artifact"] for row in chosen}))
    _print_compared(found, baseline, candidate, metrics)
    return 0 if limit is None else _judge(found, metrics, limit)


def _print_compared(found: Sequence[Comparison], baseline: str, candidate: str, metrics: Sequence[str]) -> None:
    out = console()
    out.print(f"{candidate} against {baseline}: ratios are candidate / baseline, under 1 is faster or smaller.")
    print_comparison(out, found, metrics)
    told = conclusions(found, candidate) if "latency" in metrics else []
    for line in (*told, *told_differences(found)):
        out.print(line, soft_wrap=True)


def _judge(found: Sequence[Comparison], metrics: Sequence[str], limit: float) -> int:
    """How many regressions there are over the limit; on standard error each of them, and what could not be seen."""
    worse = [line for one in found for line in _regressions(one, metrics, limit)]
    for line in (*worse, *_unseen(found if "latency" in metrics else (), limit)):
        print(line, file=sys.stderr)
    return len(worse)


def _regressions(one: Comparison, metrics: Sequence[str], limit: float) -> Iterator[str]:
    for metric in metrics:
        change = regression(one, metric, limit)
        if change is not None:
            artifact = one.pair.candidate["artifact"][:12]
            yield f"{metric} on {_where(one)}: {artifact} is {change:.1%} worse, over {limit:.1%}."


def _unseen(found: Sequence[Comparison], limit: float) -> Iterator[str]:
    unseen = [one for one in found if is_unseen(one, limit)]
    if unseen:
        yield (
            f"latency on {'; '.join(dict.fromkeys(map(_where, unseen)))}: a change of {limit:.1%} would not have shown "
            f"in {len(unseen)} of {counted(len(found), 'comparison')}; bench both again with --protocol thorough."
        )


def _where(one: Comparison) -> str:
    row = one.pair.candidate
    return f"{row['device']}, {counted(row['threads'], 'thread')}"


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


def status() -> None:
    """What was submitted, the devices and what waits for them, and what failed and why."""
    session = Session.here()
    reader, out = session.reader, console()
    numbers = ("trials", "done", "failed", "waiting", "measured", "failed cases")
    shown = table("sweep", *numbers, "last submitted", right=numbers)
    for row in ask(reader, named_queries()["sweeps"].sql).values:
        add(shown, *(str(value) for value in row))
    out.print(shown)
    print_jobs(out, session)
    devices = ask(reader, named_queries()["devices"].sql)
    if devices.values:
        out.print("\nDevices:")
        out.print(plain_rows(devices.columns, devices.values))
        if queued := sum(device["queued"] for device in devices.records()):
            out.print(f"{counted(queued, 'case')} in the queue: `harness query queue`.")
    failures = ask(reader, named_queries()["failures"].sql)
    if failures.values:
        out.print("\nNot mended yet:")
        out.print(plain_rows(failures.columns, failures.values))
