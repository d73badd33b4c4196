"""The implementation of `harness query` and `harness status`."""

import sys
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path

from rich.table import Table

from harness.cli.actions.jobs import print_jobs
from harness.cli.actions.session import Session, make_console
from harness.core.errors import RequestError
from harness.core.units import count_noun
from harness.report.export.files import FORMATS, WRITERS
from harness.report.terminal.tables import add_row, make_table, tabulate
from harness.store.queries import NamedQuery, find_named_query, load_named_queries
from harness.store.reading import QueryLimits, QueryResult, check_names, run_query

# The default limits.
_TABLE_ROWS = 1_000
_FILE_ROWS = 1_000_000


def query(
    question: str | None,
    value: str | None,
    settings: Sequence[str],
    *,
    format: str,
    out: Path | None,
    limit: int | None,
    timeout: float,
) -> None:
    if format not in FORMATS:
        raise RequestError(f"--format {format}: unknown format; use {', '.join(FORMATS)}.")
    if question is None:
        make_console().print(_list_queries(load_named_queries().values()))
        return
    named = find_named_query(question)
    if value is not None:
        settings = (f"{_first_parameter(named, question, value=value)}={value}", *settings)
    is_table = format == "table" and out is None
    max_rows = limit if limit is not None else _TABLE_ROWS if is_table else _FILE_ROWS
    limits = QueryLimits(max_rows or inf, timeout or inf)
    _write(_run_query(named, question, settings=settings, limits=limits), format, out=out)


def _first_parameter(named: NamedQuery | None, question: str, value: str) -> str:
    """Return the name of the parameter that has the value. Raises RequestError if there is none."""
    if named is None:
        raise RequestError(f"{value!r} follows the SQL; put SQL into quotes, as one argument.")
    if not named.parameters:
        raise RequestError(f"{question} {value}: the query {question!r} takes no value.")
    return next(iter(named.parameters))


def _list_queries(queries: Iterable[NamedQuery]) -> Table:
    rows = [(query.name, ", ".join(query.parameters), query.purpose) for query in queries]
    return tabulate(("query", "--param", "purpose"), rows)


def _run_query(
    named: NamedQuery | None, question: str, settings: Sequence[str], limits: QueryLimits
) -> QueryResult:
    if named is None and settings:
        raise RequestError("--param needs a named query; write the value into the SQL itself.")
    reader = Session.from_environment().reader
    if named is None:
        return run_query(reader, question, limits=limits)
    values = named.parse_values(_parse_settings(settings))
    rows = run_query(reader, named.sql, values=values, limits=limits)
    if not rows.values:
        check_names(reader, values)
    return rows


def _parse_settings(settings: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise RequestError(f"--param {setting}: give it as NAME=VALUE.")
        if name in values:
            raise RequestError(f"--param {name}: is given more than once; give it once.")
        values[name] = value
    return values


def _write(rows: QueryResult, format: str, out: Path | None) -> None:
    if rows.is_truncated:
        count = f"{len(rows.values):,}"
        print(
            f"Only the first {count} rows; `--limit 0` gives all.",
            file=sys.stderr,
        )
    if not rows.values:
        print("The query has no rows.", file=sys.stderr)
    if format == "table" and out is None:
        make_console().print(tabulate(rows.columns, rows.values))
        return
    content = WRITERS["csv" if format == "table" else format](rows.columns, rows.values)
    if out is not None:
        save(out, content)
    elif format == "parquet" and sys.stdout.isatty():
        raise RequestError("--format parquet: a terminal can't show it; give --out FILE.")
    else:
        sys.stdout.buffer.write(content)


def save(out: Path, content: bytes) -> None:
    """Write the file. Raises RequestError if it can't be written."""
    try:
        out.write_bytes(content)
    except OSError as error:
        raise RequestError(
            f"--out {out}: can't be written: {error.strerror}; check the path."
        ) from error


def status() -> None:
    """Print sweeps, jobs, devices with their queues, and failures."""
    session = Session.from_environment()
    reader, out = session.reader, make_console()
    numbers = ("trials", "done", "failed", "waiting", "measured", "failed cases")
    sweeps = make_table("sweep", *numbers, "last submitted", right=numbers)
    for row in run_query(reader, load_named_queries()["sweeps"].sql).values:
        add_row(sweeps, *(str(value) for value in row))
    out.print(sweeps)
    print_jobs(out, session)
    devices = run_query(reader, load_named_queries()["devices"].sql)
    if devices.values:
        out.print("\nDevices:")
        out.print(tabulate(devices.columns, devices.values))
        if queued := sum(device["queued"] for device in devices.records()):
            out.print(f"{count_noun(queued, 'case')} in the queue: `harness query queue`.")
    failures = run_query(reader, load_named_queries()["failures"].sql)
    if failures.values:
        out.print("\nFailures without a later success:")
        out.print(tabulate(failures.columns, failures.values))
