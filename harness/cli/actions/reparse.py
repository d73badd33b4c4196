"""The work of `harness bench --reparse`."""

import sys
from collections import Counter

from rich.progress import track

from harness.cli.actions.bench import case_name
from harness.cli.actions.session import Session, console
from harness.core.units import counted, show_us
from harness.fleet.reparse import Outcome, Reread, reparse


def reparse_all() -> int:
    """How many measurements count no longer."""
    session, out = Session.here(), console()
    found: Counter[Outcome] = Counter()
    runs = 0
    reread = reparse(session.history, session.cases, leases=session.leases)
    total = session.history.count()
    for one in track(
        reread, "Reading", total, console=out, transient=True, disable=not sys.stdout.isatty()
    ):
        found[one.outcome] += 1
        runs += one.runs
        if line := _line(one):
            out.print(f"{case_name(one.case)}: {line}", soft_wrap=True)
    withdrawn = found[Outcome.WITHDRAWN]
    out.print(
        f"{counted(runs, 'run')} read again: {counted(found[Outcome.CHANGED], 'measurement')} changed, "
        f"{withdrawn} withdrawn, {found[Outcome.FINISHED]} finished from what was kept; "
        f"{counted(found[Outcome.OPEN], 'case')} to go on with in the next bench.",
        soft_wrap=True,
    )
    return withdrawn


def _line(one: Reread) -> str:
    match one.outcome:
        case Outcome.CHANGED if one.before_us is None:
            return f"{show_us(one.after_us)}, counts again"
        case Outcome.CHANGED:
            return f"{show_us(one.after_us)}, was {show_us(one.before_us)}"
        case Outcome.FINISHED:
            return f"{show_us(one.after_us)}, could not be read before"
        case Outcome.WITHDRAWN:
            return f"{show_us(one.before_us)} counts no longer, bench it again: {one.why}"
    return ""
