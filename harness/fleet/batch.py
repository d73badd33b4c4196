"""Cases of one device, measured together: block after block in shuffled order, a canary before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

MOST_CASES = 12  # a multiple of 2, 3, 4 and 6: twins that follow each other are measured together


def group_into_batches(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases of one protocol, whatever their thread counts, in their order."""
    kinds: dict[Protocol, list[Case]] = {}
    for case in cases:
        kinds.setdefault(replace(case.protocol, threads=1), []).append(case)
    return [
        alike[at : at + MOST_CASES]
        for alike in kinds.values()
        for at in range(0, len(alike), MOST_CASES)
    ]


def needs_more_runs(protocol: Protocol, runs: Sequence[Run]) -> bool:
    """Whether a case needs another process."""
    undisturbed = [run.log.inference.avg_us for run in runs if not run.disturbed]
    return needs_another_process(protocol, undisturbed, disturbed=len(runs) - len(undisturbed))


@dataclass(frozen=True)
class BatchContext:
    """What a batch needs to know beyond its device: files, what ended before, the device's own past."""

    file: Callable[[str], Path]
    pending: Mapping[str, Sequence[Process]]
    canaries: Sequence[Canary]
    kernels: KernelVerdict
    is_binary: Callable[[str], bool]
    answer_checker: AnswerChecker


@dataclass
class BatchRunner:
    """`step` does the next thing there is to do; each can be done again where the device was lost in between."""

    cases: Sequence[Case]
    session: DeviceSession
    context: BatchContext
    stop: Event
    emit: Callable[[FleetEvent], None]
    others_waiting: int = 0
    batch: Batch = field(init=False)
    runs: dict[str, list[Run]] = field(init=False)
    _gates: BatchGates = field(init=False)
    canaries: list[Canary] = field(init=False, default_factory=list)
    _failed: set[str] = field(init=False, default_factory=set)
    _block: int = field(init=False, default=-1)
    _queue: list[Case] = field(init=False, default_factory=list)
    _block_size: int = field(init=False, default=0)
    _last: Run | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        device, protocol = self.session.device, self.cases[0].protocol
        self.batch = Batch(
            uuid4().hex[:ID_LENGTH],
            device.id,
            started_at=now(),
            ordering=protocol.order,
            cases=len(self.cases),
        )
        self.runs = {
            case.id: read_usable_runs(case, self.context.pending.get(case.id, ()))
            for case in self.cases
        }
        self._gates = BatchGates(self.session, protocol.gates, stop=self.stop, report=self._report)

    def _report(self, text: str) -> None:
        self.emit(LaneMessage(self.session.device, text))

    @property
    def cases_left(self) -> int:
        """How many cases have not ended."""
        return len(self.cases) - len(self._failed)

    def look_again(self) -> None:
        """Others had the device meanwhile: what the last process showed is no longer so."""
        self._last = None

    @property
    def is_between_blocks(self) -> bool:
        return not self._queue

    def step(self) -> bool:
        """Whether there is more to do. Raises CaseFailed where the device is gone, or someone else's."""
        if self._queue:
            self._measure(self._queue[0])
            self._queue.pop(0)
        elif self._active():
            if self._block < 0:
                self._begin()
            self._next_block()
        else:
            self._finish()
            return False
        return True

    def _active(self) -> list[Case]:
        going = (case for case in self.cases if case.id not in self._failed)
        return [case for case in going if needs_more_runs(case.protocol, self.runs[case.id])]

    def _begin(self) -> None:
        self._gates.wait_until_settled(None)
        if self.stop.is_set():
            return
        self.batch = replace(self.batch, idle_power_uw=measure_idle_power(self.session))
        self.emit(BatchStarted(self.session.device, self.batch))
        self._measure_canary("before")
        for case in {case.artifact: case for case in self._active()}.values():
            if self.context.answer_checker.is_due(case):
                self._check_answer(case)

    def _next_block(self) -> None:
        self._block += 1
        active = {case.id: case for case in self._active()}
        self._queue = [
            active[id]
            for id in order_block(
                self.batch.id, self._block, cases=list(active), ordering=self.batch.ordering
            )
        ]
        self._block_size = len(self._queue)

    def _measure(self, case: Case) -> None:
        self._gates.wait_until_settled(self._last.sensors if self._last else None)
        if self.stop.is_set():
            return
        slot = BatchSlot(self.batch.id, self._block, position=self._block_size - len(self._queue))
        runs = self.runs[case.id]
        try:
            ended = run_process(
                case,
                self.session,
                file=self.context.file(case.artifact),
                number=len(runs) + 1,
                slot=slot,
            )
            self.others_waiting = ended.others_waiting
            self._keep(case, ended.process)
        except CaseFailed as failure:
            self._give_up(case, failure)

    def _keep(self, case: Case, process: Process) -> None:
        """Raises CaseFailed where it tells no numbers; it is told all the same."""
        run = None
        try:
            run = read_run(case, process, earlier=self.runs[case.id])
            self.runs[case.id].append(run)
            self._last = run
        finally:
            self.emit(
                RunEnded(
                    self.session.device, case, process=process, run=run, progress=self._progress()
                )
            )

    def _progress(self) -> float:
        """Of all its cases, those that have ended counted whole."""
        return sum(
            _share(case.protocol, self.runs[case.id])
            for case in self.cases
            if case.id not in self._failed
        )

    def _give_up(self, case: Case, failure: CaseFailed) -> None:
        if isinstance(failure, DeviceLost):
            raise failure
        self._failed.add(case.id)
        self.emit(CaseGivenUp(self.session.device, case, failure=failure))

    def _check_answer(self, case: Case) -> None:
        """A fast wrong answer is a failure, of all the artifact's cases."""
        answer = self.context.answer_checker.check(case, self.session, file=self.context.file)
        self.emit(AnswerChecked(self.session.device, answer))
        if answer.classes_agree is False:
            for wrong in (one for one in self.cases if one.artifact == case.artifact):
                self._give_up(wrong, CaseFailed(Reason.WRONG_ANSWER, answer.message))

    def _measure_canary(self, moment: Literal["before", "after"]) -> None:
        if self.cases[0].protocol.canary:
            canary = measure_canary(
                self.session, self.batch.id, moment=moment, gates=self.cases[0].protocol.gates
            )
            self.canaries.append(canary)
            self.emit(CanaryMeasured(self.session.device, canary))

    def _finish(self) -> None:
        if self._block >= 0:
            self._measure_canary("after")
            waited_s = round(self._gates.waited_s, 3)
            self.batch = replace(self.batch, waited_s=waited_s, waited_for=self._gates.waited_for)
            self.emit(BatchEnded(self.session.device, self.batch))
        for case in self.cases:
            if case.id not in self._failed:
                self._end(case)

    def _end(self, case: Case) -> None:
        idle_uw = {self.batch.id: power} if (power := self.batch.idle_power_uw) is not None else {}
        try:
            found = build_measurement(
                case,
                self.runs[case.id],
                facts=self.session.facts,
                idle_uw=idle_uw,
                circumstances=self._circumstances(case),
            )
            self.emit(CaseMeasured(self.session.device, case, measurement=found))
        except CaseFailed as failure:
            self._give_up(case, failure)

    def _circumstances(self, case: Case) -> list[Warning]:
        """Return the warnings that the case's own processes do not give rise to."""
        values = {}
        if self._gates.unmet:
            values["not_settled"] = self._gates.unmet
        if self.context.kernels is KernelVerdict.REFERENCE and self.context.is_binary(
            case.artifact
        ):
            values["reference_kernels"] = "its binary layers run the reference kernels"
        warnings = [make_warning(name, value, device=case.device) for name, value in values.items()]
        return [*warnings, *self._canary_warnings()]

    def _canary_warnings(self) -> list[Warning]:
        history = [one.latency_us for one in self.context.canaries if one.latency_us is not None]
        latencies = [
            canary.latency_us
            for canary in self.canaries
            if canary.latency_us is not None and not canary.disturbed
        ]
        if not latencies:
            return []
        warning = check_canary(self.batch.device, latencies[-1], history_us=history)
        return [warning] if warning else []


def _share(protocol: Protocol, runs: Sequence[Run]) -> float:
    """Of a case's processes that are done; how many there will be is not known before they are."""
    if not needs_more_runs(protocol, runs):
        return 1.0
    counted = sum(not run.disturbed for run in runs)
    return min(counted / protocol.processes, 0.9)
