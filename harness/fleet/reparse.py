"""All stored tool outputs, parsed again by the current parser; no device is used."""

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
    """The effect of parsing a case again; an `open` case still needs runs."""

    SAME = "same"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"
    FINISHED = "finished"
    OPEN = "open"


@dataclass(frozen=True)
class ReparsedCase:
    """A measurement, or an unfinished case, that was parsed again.

    `runs` counts those that could be parsed. The latencies are in microseconds, or None if there is
    none.
    """

    case: Case
    outcome: ReparseOutcome
    runs: int
    before_us: float | None = None
    after_us: float | None = None
    reason: str = ""


def reparse(history: History, cases: CaseRows, leases: Leases) -> Iterator[ReparsedCase]:
    """Parse all stored outputs again, and yield each case once it is stored."""
    for measurement in history.iter_measurements():
        yield _reparse_measurement(measurement, history)
    pending_cases = history.list_pending_cases()
    tokens = {pending.case.device: uuid4().hex for pending in pending_cases}
    positions = leases.renew(tokens) if tokens else {}
    try:
        for pending in pending_cases:
            if positions[pending.case.device].is_first:  # otherwise a bench is measuring it
                yield _reparse_pending_case(pending, cases)
    finally:
        leases.release(list(tokens.values()))


def _reparse_measurement(measurement: StoredMeasurement, history: History) -> ReparsedCase:
    case = measurement.case
    before_us = measurement.summary.latency_us if measurement.valid else None
    try:
        runs = read_runs(case, measurement.processes)
        reparsed = build_measurement(
            case,
            runs,
            facts=measurement.facts,
            idle_uw=measurement.idle_uw,
            circumstances=select_circumstances(measurement.summary.warnings),
        )
    except CaseFailed as failure:
        if measurement.valid:
            history.withdraw(measurement, failure)
        outcome = ReparseOutcome.WITHDRAWN if measurement.valid else ReparseOutcome.SAME
        return ReparsedCase(case, outcome, runs=0, before_us=before_us, reason=str(failure))
    changed = history.correct(measurement, runs, summary=reparsed.summary)
    return ReparsedCase(
        case,
        ReparseOutcome.CHANGED if changed else ReparseOutcome.SAME,
        runs=len(runs),
        before_us=before_us,
        after_us=reparsed.summary.latency_us,
    )


def _reparse_pending_case(pending: PendingCase, cases: CaseRows) -> ReparsedCase:
    """Finish a case if all its processes can be parsed now and no run is missing."""
    runs = read_usable_runs(pending.case, pending.processes)
    if needs_more_runs(pending.case.protocol, runs):
        return ReparsedCase(pending.case, ReparseOutcome.OPEN, runs=len(runs))
    measurement = build_measurement(
        pending.case, runs, facts=pending.facts, idle_uw=pending.idle_uw
    )
    cases.finish(pending.device_kind, measurement)
    return ReparsedCase(
        pending.case,
        ReparseOutcome.FINISHED,
        runs=len(runs),
        after_us=measurement.summary.latency_us,
    )
