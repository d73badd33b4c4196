"""The work of `harness query` and `harness status`."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path

from rich.table import Table

from harness.cli.actions.jobs import print_jobs
from harness.cli.actions.session import Session, console
from harness.core.errors import RequestError
from harness.core.units import count_noun
from harness.report.export.files import FORMATS, WRITERS
from harness.report.terminal.tables import add_row, make_table, tabulate
from harness.store.queries import NamedQuery, find_named_query, load_named_queries
from harness.store.reading import QueryLimits, QueryResult, check_names, run_query

_SHOWN_ROWS = 1_000  # of a table, where nobody says how many; a screen holds fewer
_FILE_ROWS = 1_000_000


def query(
    question: str | None,
    settings: Sequence[str],
    format: str,
    out: Path | None,
    limit: int | None,
    timeout: float,
) -> None:
    if format not in FORMATS:
        raise RequestError(f"--format {format}: is not known; known: {', '.join(FORMATS)}.")
    if question is None:
        console().print(_listed(load_named_queries().values()))
        return
    named = find_named_query(question)
    is_table = format == "table" and out is None
    rows = limit if limit is not None else _SHOWN_ROWS if is_table else _FILE_ROWS
    limits = QueryLimits(rows or inf, timeout or inf)
    _write(_answer(named, question, settings=settings, limits=limits), format, out=out)


def _listed(queries: Iterable[NamedQuery]) -> Table:
    told = [(one.name, ", ".join(one.parameters), one.purpose) for one in queries]
    return tabulate(("query", "--param", "what it answers"), told)


def _answer(
    named: NamedQuery | None, question: str, settings: Sequence[str], limits: QueryLimits
) -> QueryResult:
    if named is None and settings:
        raise RequestError(
            "--param goes with a named query: SQL of your own can say the value itself."
        )
    reader = Session.here().reader
    if named is None:
        return run_query(reader, question, limits=limits)
    given = list(map(_setting, settings))
    if repeated := [
        name for name, count in Counter(name for name, _ in given).items() if count > 1
    ]:
        raise RequestError(f"--param {repeated[0]}: is given more than once; give it once.")
    values = named.parse_values(dict(given))
    rows = run_query(reader, named.sql, values=values, limits=limits)
    if not rows.values:
        check_names(reader, values)
    return rows


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--param {text}: has to look like NAME=VALUE.")
    return name, value


def _write(rows: QueryResult, format: str, out: Path | None) -> None:
    if rows.is_truncated:
        count = f"{len(rows.values):,}"
        print(
            f"Only the first {count} rows: ask for less, or for all with --limit 0.",
            file=sys.stderr,
        )
    if not rows.values:
        print("No row answers this.", file=sys.stderr)
    if format == "table" and out is None:
        console().print(tabulate(rows.columns, rows.values))
        return
    content = WRITERS["csv" if format == "table" else format](rows.columns, rows.values)
    if out is not None:
        save(out, content)
    elif format == "parquet" and sys.stdout.isatty():
        raise RequestError("--format parquet: is no text; give --out FILE.")
    else:
        sys.stdout.buffer.write(content)


def save(out: Path, content: bytes) -> None:
    """Raises RequestError where the file can't be written."""
    try:
        out.write_bytes(content)
    except OSError as error:
        raise RequestError(
            f"--out {out}: can't be written: {error.strerror}; check the path."
        ) from error


def status() -> None:
    """What was submitted, the devices and what waits for them, and what failed and why."""
    session = Session.here()
    reader, out = session.reader, console()
    numbers = ("trials", "done", "failed", "waiting", "measured", "failed cases")
    shown = make_table("sweep", *numbers, "last submitted", right=numbers)
    for row in run_query(reader, load_named_queries()["sweeps"].sql).values:
        add_row(shown, *(str(value) for value in row))
    out.print(shown)
    print_jobs(out, session)
    devices = run_query(reader, load_named_queries()["devices"].sql)
    if devices.values:
        out.print("\nDevices:")
        out.print(tabulate(devices.columns, devices.values))
        if queued := sum(device["queued"] for device in devices.records()):
            out.print(f"{count_noun(queued, 'case')} in the queue: `harness query queue`.")
    failures = run_query(reader, load_named_queries()["failures"].sql)
    if failures.values:
        out.print("\nNot mended yet:")
        out.print(tabulate(failures.columns, failures.values))
