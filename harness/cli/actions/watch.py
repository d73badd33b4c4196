"""The implementation of `harness status --follow` where no job runs: the work under way, live."""

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live

from harness.cli.actions.session import Session, make_console
from harness.core.units import count_noun
from harness.report.terminal.front_rows import SearchSnapshot
from harness.report.terminal.work_rows import Row, WorkSnapshot, view_rows
from harness.report.terminal.work_view import render_view
from harness.store.database import now
from harness.store.queries import load_named_queries
from harness.store.reading import run_query
from harness.store.rows.running import RunningRows
from harness.store.rows.work import WorkRows

_PAUSE_S = 2.0
_REST = 4  # a look at a large database is followed by a pause of so many times its length


def watch_work(session: Session) -> int:
    """Show the trials, artifacts and devices that have work left, until none has; return 0.

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
        for snapshot in _look_until_done(session):
            live.update(_render(snapshot, out), refresh=True)


def _render(snapshot: WorkSnapshot, out: Console) -> Group:
    return render_view(view_rows(snapshot), out.width, height=out.height)


def _print_changes(out: Console, session: Session) -> None:
    printed: dict[str, str] = {}
    for snapshot in _look_until_done(session):
        lines = {f"sweep {row['sweep']}": _describe_sweep(row, snapshot) for row in snapshot.sweeps}
        lines |= {
            f"device {row['device']}": _describe_device(row, snapshot) for row in snapshot.devices
        }
        lines |= {f"search {search.sweep}": line for search, line in _list_fronts(snapshot)}
        for subject, line in lines.items():
            if printed.get(subject) != line:
                out.print(f"{subject}: {line}", soft_wrap=True)
        printed |= lines


def _describe_sweep(row: Row, snapshot: WorkSnapshot) -> str:
    failed = f", {row['failed']} failed" if row["failed"] else ""
    count = len(snapshot.running.get(row["sweep"], ()))
    running = f", {count} in training" if count else ""
    done = f"{row['done']} of {count_noun(row['trials'], 'trial')} done"
    return f"{done}{failed}{running}, {count_noun(row['measured'], 'case')} measured."


def _describe_device(row: Row, snapshot: WorkSnapshot) -> str:
    user = snapshot.users.get(row["device"])
    state = f"in use by {user}" if user else row["state"]
    return f"{state}, {row['queued']} queued, {row['measured']} measured."


def _list_fronts(snapshot: WorkSnapshot) -> Iterator[tuple[SearchSnapshot, str]]:
    """Yield a line about the front of each search that has one."""
    for search in snapshot.searches:
        if front := search.list_front():
            count, best = count_noun(len(front), "point"), front[0]
            values = zip(search.objectives, best.objectives, strict=True)
            text = ", ".join(f"{name} {value}" for name, value in values)
            yield search, f"{count} on the front; the first is {best.point}: {text}."


def _look_until_done(session: Session) -> Iterator[WorkSnapshot]:
    """Yield the sweeps and the devices that have or had work left, until none has."""
    followed: set[str] = set()
    measured_before: dict[str, int] = {}
    is_busy = True
    while is_busy:
        started = time.monotonic()
        sweeps, devices, users = _read_lists(session)
        for row in devices:
            measured_before.setdefault(row["device"], row["measured"])
        busy = {f"sweep {row['sweep']}" for row in sweeps if row["waiting"]}
        busy |= {f"device {row['device']}" for row in devices if row["queued"]}
        busy |= {f"device {device}" for device in users}
        followed |= busy
        yield _take_snapshot(
            session,
            sweeps=[row for row in sweeps if f"sweep {row['sweep']}" in followed],
            devices=[row for row in devices if f"device {row['device']}" in followed],
            users=users,
            measured_before=measured_before,
        )
        is_busy = bool(busy)
        if is_busy:
            time.sleep(max(_PAUSE_S, _REST * (time.monotonic() - started)))


def _read_lists(session: Session) -> tuple[list[Row], list[Row], dict[str, str]]:
    queries = load_named_queries()
    return (
        [*run_query(session.reader, queries["sweeps"].sql).records()],
        [*run_query(session.reader, queries["devices"].sql).records()],
        WorkRows(session.reader).list_users(),
    )


def _take_snapshot(
    session: Session,
    *,
    sweeps: list[Row],
    devices: list[Row],
    users: Mapping[str, str],
    measured_before: Mapping[str, int],
) -> WorkSnapshot:
    rows = WorkRows(session.reader)
    names = [row["sweep"] for row in sweeps]
    return WorkSnapshot(
        now(),
        sweeps=sweeps,
        devices=devices,
        users=users,
        measured_before=dict(measured_before),
        ended={name: rows.list_ended_trials(name) for name in names},
        pending=rows.list_pending(),
        measurements=rows.list_latest_measurements(),
        cases_per_trial=rows.count_cases_per_trial(names),
        artifacts=rows.count_artifacts(names, users),
        searches=[*read_searches(session, names)],
        running={name: RunningRows(session.reader).list_sweep(name) for name in names},
    )


def read_searches(session: Session, sweeps: Sequence[str]) -> Iterator[SearchSnapshot]:
    """Yield the searches of those of the sweeps that have one."""
    query = load_named_queries()["search"]
    for sweep in sweeps:
        if objectives := WorkRows(session.reader).list_objectives(sweep):
            points = run_query(session.reader, query.sql, values={"sweep": sweep})
            yield SearchSnapshot(sweep, objectives, rows=points.records())
