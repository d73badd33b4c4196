"""All that tools ever printed here, read again by the parser of now: no device is asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4

from harness.bench.quality import select_circumstances
from harness.core.bench import Case
from harness.core.errors import CaseFailed
from harness.fleet.batch import needs_more_runs
from harness.fleet.process import build_measurement, read_runs, read_usable_runs
from harness.store.rows.cases import CaseRows
from harness.store.rows.history import History, PendingCase, StoredMeasurement
from harness.store.rows.leases import Leases


class ReparseOutcome(Enum):
    SAME = "same"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"
    FINISHED = "finished"
    OPEN = "open"


@dataclass(frozen=True)
class ReparsedCase:
    """What came of a measurement, or of a case that has not ended.

    `runs` could be read; the latencies are in microseconds, None where there is none.
    """

    case: Case
    outcome: ReparseOutcome
    runs: int
    before_us: float | None = None
    after_us: float | None = None
    reason: str = ""


def reparse(history: History, cases: CaseRows, leases: Leases) -> Iterator[ReparsedCase]:
    """Yields each once it is stored."""
    for kept in history.iter_measurements():
        yield _again(kept, history)
    begun = history.list_pending_cases()
    tokens = {one.case.device: uuid4().hex for one in begun}
    places = leases.renew(tokens) if tokens else {}
    try:
        for one in begun:
            if places[one.case.device].is_first:  # or else a bench goes on with it right now
                yield _ended(one, cases)
    finally:
        leases.release(list(tokens.values()))


def _again(kept: StoredMeasurement, history: History) -> ReparsedCase:
    before_us = kept.summary.latency_us if kept.valid else None
    try:
        runs = read_runs(kept.case, kept.processes)
        now = build_measurement(
            kept.case,
            runs,
            facts=kept.facts,
            idle_uw=kept.idle_uw,
            circumstances=select_circumstances(kept.summary.warnings),
        )
    except CaseFailed as failure:
        if kept.valid:
            history.withdraw(kept, failure)
        outcome = ReparseOutcome.WITHDRAWN if kept.valid else ReparseOutcome.SAME
        return ReparsedCase(kept.case, outcome, runs=0, before_us=before_us, reason=str(failure))
    changed = history.correct(kept, runs, summary=now.summary)
    outcome = ReparseOutcome.CHANGED if changed else ReparseOutcome.SAME
    return ReparsedCase(
        kept.case, outcome, runs=len(runs), before_us=before_us, after_us=now.summary.latency_us
    )


def _ended(begun: PendingCase, cases: CaseRows) -> ReparsedCase:
    """A case whose processes can all be read is measured: nothing is left to run."""
    runs = read_usable_runs(begun.case, begun.processes)
    if needs_more_runs(begun.case.protocol, runs):
        return ReparsedCase(begun.case, ReparseOutcome.OPEN, runs=len(runs))
    now = build_measurement(begun.case, runs, facts=begun.facts, idle_uw=begun.idle_uw)
    cases.finish(begun.device_kind, now)
    return ReparsedCase(
        begun.case, ReparseOutcome.FINISHED, runs=len(runs), after_us=now.summary.latency_us
    )
