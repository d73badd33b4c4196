"""The implementation of `harness status --follow` where no job runs: the work under way, live."""

import time
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from harness.cli.actions.session import Session, make_console
from harness.core.units import count_noun
from harness.report.terminal.tables import tabulate
from harness.store.queries import load_named_queries
from harness.store.reading import run_query

_PAUSE_S = 2.0
_SWEEP_COLUMNS = ("sweep", "trials", "done", "failed", "waiting", "measured")
_DEVICE_COLUMNS = ("device", "state", "used_by", "queued", "measured", "message")
Row = Mapping[str, Any]


def watch_work(session: Session) -> int:
    """Show the sweeps and devices that have work left, until none has; return 0.

    A terminal has a live table. Elsewhere, a line is printed for each change.
    """
    out = make_console()
    if out.is_terminal:
        _show_table(out, session)
    else:
        _print_changes(out, session)
    out.print("Nothing is under way.")
    return 0


def _show_table(out: Console, session: Session) -> None:
    with Live(console=out, auto_refresh=False, transient=True) as live:
        for sweeps, devices in _look_until_done(session):
            live.update(
                Group(_tabulate(sweeps, _SWEEP_COLUMNS), _tabulate(devices, _DEVICE_COLUMNS)),
                refresh=True,
            )


def _tabulate(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    cells = itemgetter(*columns)
    return tabulate(columns, [cells(row) for row in rows])


def _print_changes(out: Console, session: Session) -> None:
    printed: dict[str, str] = {}
    for sweeps, devices in _look_until_done(session):
        lines = {f"sweep {row['sweep']}": _describe_sweep(row) for row in sweeps}
        lines |= {f"device {row['device']}": _describe_device(row) for row in devices}
        for subject, line in lines.items():
            if printed.get(subject) != line:
                out.print(f"{subject}: {line}", soft_wrap=True)
        printed |= lines


def _describe_sweep(row: Row) -> str:
    failed = f", {row['failed']} failed" if row["failed"] else ""
    trials = count_noun(row["trials"], "trial")
    return (
        f"{row['done']} of {trials} done{failed}, {count_noun(row['measured'], 'case')} measured."
    )


def _describe_device(row: Row) -> str:
    user = f"in use by {row['used_by']}" if row["used_by"] else row["state"]
    return f"{user}, {row['queued']} queued, {row['measured']} measured."


def _look_until_done(session: Session) -> Iterator[tuple[Sequence[Row], Sequence[Row]]]:
    """Yield the sweeps and the devices that have or had work left, until none has."""
    queries = load_named_queries()
    followed: set[str] = set()
    is_busy = True
    while is_busy:
        sweeps = run_query(session.reader, queries["sweeps"].sql).records()
        devices = run_query(session.reader, queries["devices"].sql).records()
        busy = {f"sweep {row['sweep']}" for row in sweeps if row["waiting"]}
        busy |= {f"device {row['device']}" for row in devices if row["queued"] or row["used_by"]}
        followed |= busy
        yield (
            [row for row in sweeps if f"sweep {row['sweep']}" in followed],
            [row for row in devices if f"device {row['device']}" in followed],
        )
        is_busy = bool(busy)
        if is_busy:
            time.sleep(_PAUSE_S)
