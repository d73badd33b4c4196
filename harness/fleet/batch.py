"""A batch: cases of one device that are measured together, with a canary before and after.

Each block measures every unfinished case once, in shuffled order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Literal
from uuid import uuid4

from harness.bench.quality import check_canary, make_warning
from harness.bench.schedule import needs_another_process, order_block
from harness.core.bench import BatchSlot, Case, Process, Protocol, Run
from harness.core.errors import CaseFailed, DeviceLost, Reason
from harness.core.ids import ID_LENGTH
from harness.core.observations import Batch, Canary, KernelVerdict
from harness.core.quality import Warning
from harness.fleet.answer_check import AnswerChecker
from harness.fleet.canary import measure_canary
from harness.fleet.events import (
    AnswerChecked,
    BatchEnded,
    BatchStarted,
    CanaryMeasured,
    CaseGivenUp,
    CaseMeasured,
    FleetEvent,
    LaneMessage,
    RunEnded,
)
from harness.fleet.failures import explain_inputs
from harness.fleet.gates import BatchGates
from harness.fleet.process import (
    DeviceSession,
    build_measurement,
    measure_idle_power,
    read_run,
    read_usable_runs,
    run_process,
)
from harness.store.database import now

MAX_CASES = 12  # a multiple of 2, 3, 4 and 6, so that adjacent twins are measured together


def group_into_batches(cases: Sequence[Case]) -> list[list[Case]]:
    """Group cases whose protocols differ only in the number of threads, and keep their order."""
    groups: dict[Protocol, list[Case]] = {}
    for case in cases:
        groups.setdefault(_family_of(case), []).append(case)
    batches = []
    for group in groups.values():
        starts = range(0, len(group), MAX_CASES)
        batches += [group[start : start + MAX_CASES] for start in starts]
    return batches


def take_batch(waiting: list[list[Case]]) -> list[Case]:
    """Remove the first group of cases, with all others that fit into a batch with it.

    A group stays together: the variants of a point are added at once, to be compared in one batch.
    """
    batch = list(waiting.pop(0))
    for group in list(waiting):
        if len(batch) >= MAX_CASES:
            break
        if len(batch) + len(group) <= MAX_CASES and _family_of(group[0]) == _family_of(batch[0]):
            batch += group
            waiting.remove(group)
    return batch


def _family_of(case: Case) -> Protocol:
    """Return the case's protocol without its number of threads."""
    return replace(case.protocol, threads=1)


def needs_more_runs(protocol: Protocol, runs: Sequence[Run], limit_us: float | None = None) -> bool:
    """Return whether a case needs another process to be precise and told from its limit.

    A case that is surely above its limit need not be precise.
    """
    undisturbed = [run.log.inference.avg_us for run in runs if not run.disturbed]
    disturbed = len(runs) - len(undisturbed)
    return needs_another_process(protocol, undisturbed, disturbed=disturbed, limit=limit_us)


@dataclass(frozen=True)
class BatchContext:
    """The data that a batch needs beyond its device.

    `pending` has the processes of unfinished cases by case id, and `canaries` are earlier ones.
    `limits_us` are the limits of latencies by number of threads.
    """

    file: Callable[[str], Path]
    pending: Mapping[str, Sequence[Process]]
    canaries: Sequence[Canary]
    kernels: KernelVerdict
    is_binary: Callable[[str], bool]
    answer_checker: AnswerChecker
    limits_us: Mapping[int, float] = field(default_factory=dict)


@dataclass
class BatchRunner:
    """The progress of one batch. `step` does the next piece of work.

    A step during which the device was lost can be repeated. `references` have been measured before;
    they run in each block that another case needs, and end as one more measurement.
    """

    cases: Sequence[Case]
    session: DeviceSession
    context: BatchContext
    stop: Event
    emit: Callable[[FleetEvent], None]
    references: Sequence[Case] = ()
    others_waiting: int = 0
    batch: Batch = field(init=False)
    runs: dict[str, list[Run]] = field(init=False)
    _gates: BatchGates = field(init=False)
    canaries: list[Canary] = field(init=False, default_factory=list)
    measured: list[Case] = field(init=False, default_factory=list)
    _failed: set[str] = field(init=False, default_factory=set)
    _block: int = field(init=False, default=-1)
    _queue: list[Case] = field(init=False, default_factory=list)
    _block_size: int = field(init=False, default=0)
    _latest_run: Run | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        device, protocol = self.session.device, self.cases[0].protocol
        self.batch = Batch(
            uuid4().hex[:ID_LENGTH],
            device.id,
            started_at=now(),
            ordering=protocol.order,
            cases=len(self.cases) + len(self.references),
        )
        self.runs = {
            case.id: read_usable_runs(case, self.context.pending.get(case.id, ()))
            for case in (*self.cases, *self.references)
        }
        self._gates = BatchGates(self.session, protocol.gates, stop=self.stop, report=self._report)

    def _report(self, text: str) -> None:
        self.emit(LaneMessage(self.session.device, text))

    @property
    def cases_left(self) -> int:
        """The number of cases that have not failed; all of them end with the batch."""
        return sum(case.id not in self._failed for case in self.cases)

    @property
    def failed_references(self) -> list[Case]:
        return [case for case in self.references if case.id in self._failed]

    def forget_latest_run(self) -> None:
        """Read the sensors before the next run: the device has done other work since the last."""
        self._latest_run = None

    @property
    def is_between_blocks(self) -> bool:
        return not self._queue

    def step(self) -> bool:
        """Do the next piece of work, and return whether there is more. Raises CaseFailed."""
        if self._queue:
            self._measure(self._queue[0])
            self._queue.pop(0)
        elif self._find_unfinished_cases():
            if self._block < 0:
                self._begin()
            self._start_block()
        else:
            self._finish()
            return False
        return True

    def _find_unfinished_cases(self) -> list[Case]:
        """Return the cases to run in the next block; references alone only if they began."""
        unfinished = [
            case for case in self.cases if case.id not in self._failed and self._needs_more(case)
        ]
        references = [case for case in self.references if case.id not in self._failed]
        if unfinished:
            return [*unfinished, *references]
        return [case for case in references if self._block >= 0 and self._needs_more(case)]

    def _needs_more(self, case: Case) -> bool:
        limit_us = self.context.limits_us.get(case.protocol.threads)
        return needs_more_runs(case.protocol, self.runs[case.id], limit_us=limit_us)

    def _begin(self) -> None:
        self._gates.wait_until_settled(None)
        if self.stop.is_set():
            return
        self.batch = replace(self.batch, idle_power_uw=measure_idle_power(self.session))
        self.emit(BatchStarted(self.session.device, self.batch))
        self._measure_canary("before")
        case_by_artifact = {case.artifact: case for case in self._find_unfinished_cases()}
        for case in case_by_artifact.values():
            if self.context.answer_checker.is_due(case):
                self._check_answer(case)
                self.forget_latest_run()

    def _start_block(self) -> None:
        self._block += 1
        cases = {case.id: case for case in self._find_unfinished_cases()}
        order = order_block(
            self.batch.id, self._block, cases=list(cases), ordering=self.batch.ordering
        )
        self._queue = [cases[id] for id in order]
        self._block_size = len(self._queue)

    def _measure(self, case: Case) -> None:
        self._gates.wait_until_settled(self._latest_run.sensors if self._latest_run else None)
        if self.stop.is_set():
            return
        slot = BatchSlot(self.batch.id, self._block, position=self._block_size - len(self._queue))
        try:
            finished = run_process(
                case,
                self.session,
                file=self.context.file(case.artifact),
                number=len(self.runs[case.id]) + 1,
                slot=slot,
            )
            self.others_waiting = finished.others_waiting
            self._add_run(case, finished.process)
        except CaseFailed as failure:
            file = partial(self.context.file, case.artifact)
            self._give_up(case, explain_inputs(failure, case.inputs, file=file))

    def _add_run(self, case: Case, process: Process) -> None:
        """Add the run of a process. Raises CaseFailed, after its event, if it has no numbers."""
        run = None
        try:
            run = read_run(case, process, earlier=self.runs[case.id])
            self.runs[case.id].append(run)
            self._latest_run = run
        finally:
            self.emit(
                RunEnded(
                    self.session.device,
                    case,
                    process=process,
                    run=run,
                    progress=self._compute_progress(),
                )
            )

    def _compute_progress(self) -> float:
        """Return the number of finished cases, with fractions for unfinished ones."""
        return sum(self._progress_of(case) for case in self.cases if case.id not in self._failed)

    def _progress_of(self, case: Case) -> float:
        """Return a case's progress, 0 to 1; the number of its processes is known at the end."""
        if not self._needs_more(case):
            return 1.0
        undisturbed = sum(not run.disturbed for run in self.runs[case.id])
        return min(undisturbed / case.protocol.processes, 0.9)

    def _give_up(self, case: Case, failure: CaseFailed) -> None:
        if isinstance(failure, DeviceLost):
            raise failure
        self._failed.add(case.id)
        is_reference = case in self.references
        self.emit(
            CaseGivenUp(self.session.device, case, failure=failure, is_reference=is_reference)
        )

    def _check_answer(self, case: Case) -> None:
        """Check an artifact's answers; wrong ones make all its cases fail, however fast."""
        answer = self.context.answer_checker.check(case, self.session, file=self.context.file)
        self.emit(AnswerChecked(self.session.device, answer))
        if answer.classes_agree is False:
            for other in (*self.cases, *self.references):
                if other.artifact == case.artifact:
                    self._give_up(other, CaseFailed(Reason.WRONG_ANSWER, answer.message))

    def _measure_canary(self, moment: Literal["before", "after"]) -> None:
        protocol = self.cases[0].protocol
        if protocol.canary:
            canary, self._latest_run = measure_canary(
                self.session, self.batch.id, moment=moment, gates=protocol.gates
            )
            self.canaries.append(canary)
            self.emit(CanaryMeasured(self.session.device, canary))

    def _finish(self) -> None:
        if self._block >= 0:
            self._measure_canary("after")
            waited_s = round(self._gates.waited_s, 3)
            self.batch = replace(self.batch, waited_s=waited_s, waited_for=self._gates.waited_for)
            self.emit(BatchEnded(self.session.device, self.batch))
        # Of a killed bench, references may have runs that are too few for a measurement. They come
        # first, as whoever hears of a case compares it through them.
        ended = [case for case in self.references if not self._needs_more(case)]
        for case in (*ended, *self.cases):
            if case.id not in self._failed:
                self._end_case(case)

    def _end_case(self, case: Case) -> None:
        idle_power_uw = self.batch.idle_power_uw
        try:
            measurement = build_measurement(
                case,
                self.runs[case.id],
                facts=self.session.facts,
                idle_uw={} if idle_power_uw is None else {self.batch.id: idle_power_uw},
                circumstances=self._find_circumstances(case),
            )
            is_reference = case in self.references
            self.emit(
                CaseMeasured(
                    self.session.device,
                    case,
                    measurement=measurement,
                    is_reference=is_reference,
                )
            )
            self.measured.append(case)
        except CaseFailed as failure:
            self._give_up(case, failure)

    def _find_circumstances(self, case: Case) -> list[Warning]:
        """Return the warnings that the case's own processes do not give rise to."""
        values = {}
        if self._gates.unmet:
            values["not_settled"] = self._gates.unmet
        runs_reference_kernels = self.context.kernels is KernelVerdict.REFERENCE
        if runs_reference_kernels and self.context.is_binary(case.artifact):
            values["reference_kernels"] = "its binary layers run the reference kernels"
        warnings = [make_warning(name, value, device=case.device) for name, value in values.items()]
        return [*warnings, *self._find_canary_warnings()]

    def _find_canary_warnings(self) -> list[Warning]:
        history_us = [
            canary.latency_us for canary in self.context.canaries if canary.latency_us is not None
        ]
        latencies_us = [
            canary.latency_us
            for canary in self.canaries
            if canary.latency_us is not None and not canary.disturbed
        ]
        if not latencies_us:
            return []
        warning = check_canary(self.batch.device, latencies_us[-1], history_us=history_us)
        return [warning] if warning else []
