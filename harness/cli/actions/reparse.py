"""The work of `harness bench --reparse`."""

import sys
from collections import Counter

from rich.progress import track

from harness.cli.actions.bench import case_name
from harness.cli.actions.session import Session, console
from harness.core.units import count_noun, format_us
from harness.fleet.reparse import ReparsedCase, ReparseOutcome, reparse


def reparse_all() -> int:
    """How many measurements count no longer."""
    session, out = Session.here(), console()
    found: Counter[ReparseOutcome] = Counter()
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
    withdrawn = found[ReparseOutcome.WITHDRAWN]
    out.print(
        f"{count_noun(runs, 'run')} read again: {count_noun(found[ReparseOutcome.CHANGED], 'measurement')} changed, "
        f"{withdrawn} withdrawn, {found[ReparseOutcome.FINISHED]} finished from what was kept; "
        f"{count_noun(found[ReparseOutcome.OPEN], 'case')} to go on with in the next bench.",
        soft_wrap=True,
    )
    return withdrawn


def _line(one: ReparsedCase) -> str:
    match one.outcome:
        case ReparseOutcome.CHANGED if one.before_us is None:
            return f"{format_us(one.after_us)}, counts again"
        case ReparseOutcome.CHANGED:
            return f"{format_us(one.after_us)}, was {format_us(one.before_us)}"
        case ReparseOutcome.FINISHED:
            return f"{format_us(one.after_us)}, could not be read before"
        case ReparseOutcome.WITHDRAWN:
            return f"{format_us(one.before_us)} counts no longer, bench it again: {one.reason}"
    return ""
