"""`harness query`, `harness compare` and `harness status`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.session import Session, console
from harness.core.comparison import Comparison
from harness.core.errors import RequestError
from harness.pipeline.compare import METRICS, compared, pairs, regression
from harness.report.files import WRITERS
from harness.report.tables import comparison, plain_rows, table
from harness.store.reading import Rows, ask, named_queries, results

FORMATS = ("table", *WRITERS)


@app.command()
def query(
    question: Annotated[str | None, typer.Argument(metavar="[NAME | SQL]", help="A named query, or a SELECT; without it the named queries are listed.")] = None,
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
) -> None:
    """Ask the database; read-only, whatever the SQL says."""
    if format not in FORMATS:
        raise RequestError(f"--format {format}: is not known; known: {', '.join(FORMATS)}.")
    queries = named_queries()
    if question is None:
        console().print(plain_rows(("query", "what it answers"), [(one.name, one.purpose) for one in queries.values()]))
        return
    if question not in queries and len(question.split()) == 1:
        raise RequestError(f"{question!r} is no named query; known: {', '.join(queries)}; or give SQL, for example \"SELECT * FROM results\".")
    sql = queries[question].sql if question in queries else question
    _write(ask(Session.here().reader, sql), format, out)


def _write(rows: Rows, format: str, out: Path | None) -> None:
    if format == "table" and out is None:
        console().print(plain_rows(rows.columns, rows.values))
        return
    content = WRITERS["csv" if format == "table" else format](rows.columns, rows.values)
    if out is not None:
        out.write_bytes(content)
    elif format == "parquet" and sys.stdout.isatty():
        raise RequestError("--format parquet: is no text; give --out FILE.")
    else:
        sys.stdout.buffer.write(content)


@app.command("compare")
def compare_command(
    baseline: Annotated[str, typer.Argument(help="A precision, a trial, an artifact (the start of its id is enough), or a model file's name.")],
    candidate: Annotated[str, typer.Argument(help="What is held against it.")],
    metric: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(METRICS)}; may be given more than once.")] = None,
    fail_on_regression: Annotated[str | None, typer.Option(metavar="PCT", help="End with code 1 where the candidate is worse by more than this, for example 3%.")] = None,
) -> None:
    """Hold a candidate against a baseline, device by device; of two precisions, twin by twin."""
    metrics = metric or ["latency", "size", "accuracy"]
    if unknown := sorted(set(metrics) - set(METRICS)):
        raise RequestError(f"--metric {unknown[0]}: is not known; known: {', '.join(METRICS)}.")
    limit = _share(fail_on_regression) if fail_on_regression is not None else None
    found = [compared(pair) for pair in pairs(results(Session.here().reader), baseline, candidate)]
    out = console()
    out.print(f"{candidate} against {baseline}: ratios are candidate / baseline, under 1 is faster or smaller.")
    out.print(comparison(found, metrics))
    if limit is not None and _worse(found, metrics, limit):
        raise typer.Exit(1)


def _share(percent: str) -> float:
    try:
        return float(percent.strip().removesuffix("%")) / 100
    except ValueError as error:
        raise RequestError(f"--fail-on-regression {percent}: has to be a number of percent, for example 3%.") from error


def _worse(found: list[Comparison], metrics: list[str], limit: float) -> bool:
    """Says each regression over the limit."""
    worse = False
    for one in found:
        for metric in metrics:
            change = regression(one.pair, metric)
            if change is not None and change > limit:
                worse = True
                row = one.pair.candidate
                print(f"{metric} on {row['device']}, {row['threads']} threads: {row['artifact'][:12]} is {change:.1%} worse, over {limit:.1%}.", file=sys.stderr)
    return worse


@app.command()
def status() -> None:
    """What was submitted, what is done, and what failed and why."""
    reader = Session.here().reader
    out = console()
    numbers = ("trials", "done", "failed", "waiting", "measured", "failed cases")
    shown = table("sweep", *numbers, "last submitted", right=numbers)
    for row in ask(reader, named_queries()["sweeps"].sql).values:
        shown.add_row(*(str(value) for value in row))
    out.print(shown)
    failures = ask(reader, named_queries()["failures"].sql)
    if failures.values:
        out.print("\nNot mended yet:")
        out.print(plain_rows(failures.columns, failures.values))
