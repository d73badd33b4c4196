"""The implementation of `harness bench --reparse`."""

import sys
from collections import Counter

from rich.progress import track

from harness.cli.actions.bench import name_case
from harness.cli.actions.session import Session, make_console
from harness.core.units import count_noun, format_us
from harness.fleet.reparse import ReparsedCase, ReparseOutcome, reparse


def reparse_all() -> int:
    """Parse all stored logs again, and return how many measurements were withdrawn."""
    session, out = Session.from_environment(), make_console()
    counts: Counter[ReparseOutcome] = Counter()
    runs = 0
    cases = reparse(session.history, session.cases, leases=session.leases)
    total = session.history.count()
    for case in track(
        cases, "Parsing", total, console=out, transient=True, disable=not sys.stdout.isatty()
    ):
        counts[case.outcome] += 1
        runs += case.runs
        if line := _describe_change(case):
            out.print(f"{name_case(case.case)}: {line}", soft_wrap=True)
    withdrawn = counts[ReparseOutcome.WITHDRAWN]
    out.print(
        f"{count_noun(runs, 'run')} parsed again: "
        f"{count_noun(counts[ReparseOutcome.CHANGED], 'measurement')} changed, "
        f"{withdrawn} withdrawn, {counts[ReparseOutcome.FINISHED]} completed from stored logs; "
        f"{count_noun(counts[ReparseOutcome.OPEN], 'case')} to continue in the next bench.",
        soft_wrap=True,
    )
    return withdrawn


def _describe_change(case: ReparsedCase) -> str:
    match case.outcome:
        case ReparseOutcome.CHANGED if case.before_us is None:
            return f"{format_us(case.after_us)}, valid again"
        case ReparseOutcome.CHANGED:
            return f"{format_us(case.after_us)}, was {format_us(case.before_us)}"
        case ReparseOutcome.FINISHED:
            return f"{format_us(case.after_us)}, unparsable before"
        case ReparseOutcome.WITHDRAWN:
            return f"{format_us(case.before_us)} withdrawn, bench it again: {case.reason}"
    return ""
