"""One device's part of a bench: a thread that gets it, measures its cases batch by batch, and lets others in."""

import traceback
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread

from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Case, Process, Protocol, Tool
from harness.core.device import Device
from harness.core.errors import CaseFailed, DeviceBusy, DeviceLost, Reason
from harness.core.observations import Canary, KernelVerdict
from harness.devices import Patience, Transport, Turn, open_transport
from harness.fleet.answer_check import AnswerChecker, ReferenceAnswers
from harness.fleet.batch import BatchContext, BatchRunner, group_into_batches
from harness.fleet.canary import FLOAT_CANARY, is_comparable, make_canary_case
from harness.fleet.device_tool import collect_facts, install_tool
from harness.fleet.events import (
    AnswerChecked,
    CaseGivenUp,
    CaseProfiled,
    DevicePlanned,
    DeviceSetAside,
    FleetEvent,
    LaneEnded,
    LaneMessage,
    ProfileFailed,
)
from harness.fleet.lease_keeper import LeaseKeeper
from harness.fleet.plan import plan_cases, split_cases
from harness.fleet.process import DeviceSession, profile_operators
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace
from harness.store.rows.leases import describe_owner

_ASK_AGAIN_S = 2.0


@dataclass(frozen=True)
class FleetRequest:
    """What is wanted: these artifacts, under each device's own protocols. `wait_s`: how long for a busy device.

    `profile` asks for operator profiles too, `check_answers` for answers that were checked before.
    """

    artifacts: tuple[str, ...]
    protocols: Mapping[str, tuple[Protocol, ...]]
    force: bool = False
    wait_s: float = 3600.0
    dry_run: bool = False
    profile: bool = False
    check_answers: bool = False

    def pairs(self, device: str) -> list[tuple[str, Protocol]]:
        return [
            (artifact, protocol)
            for protocol in self.protocols[device]
            for artifact in self.artifacts
        ]


@dataclass(frozen=True)
class BenchSnapshot:
    """What was there as the bench began: in the database, and in the workspace."""

    measured: frozenset[str]
    pending: Mapping[str, Sequence[Process]]
    file: Callable[[str], Path]
    identity: str
    tools: Mapping[str, ToolFile]
    workspace: Workspace
    canaries: Sequence[Canary]
    kernels: Mapping[tuple[str, Tool], KernelVerdict]
    answers: Mapping[tuple[str, str, Tool], bool | None]
    references: ReferenceAnswers
    binary: Container[str]


@dataclass
class Lane:
    """One device's thread.

    The lease keeps other harnesses of this database off the device, and the turn there those of other databases: a
    harness that was killed is followed at once by another with the same turn.
    """

    device: Device
    registry: Mapping[str, Device]
    request: FleetRequest
    snapshot: BenchSnapshot
    keeper: LeaseKeeper
    emit: Callable[[FleetEvent], None]
    stop: Event
    cases_left: int | None = None
    canaries: list[Canary] = field(init=False, default_factory=list)
    transport: Transport = field(init=False)
    turn: Turn = field(init=False)
    answer_checker: AnswerChecker = field(init=False)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        patience = Patience(self.device.patience_s, self.stop, on_retry=self._lost)
        folder = self.snapshot.workspace.device_folder(self.device.id)
        self.transport = open_transport(
            self.device, self.registry, local_folder=folder, patience=patience
        )
        self.turn = Turn(self.snapshot.identity, describe_owner())
        self.answer_checker = AnswerChecker(
            self.snapshot.references, self.snapshot.answers, again=self.request.check_answers
        )
        self.thread = Thread(target=self._work, name=f"lane {self.device.id}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        """From another thread: what waits for the link gives up."""
        self.transport.interrupt()

    def _report(self, text: str) -> None:
        self.emit(LaneMessage(self.device, text))

    def _lost(self, why: str, pause_s: float) -> None:
        self._report(f"{why}: trying again in {pause_s:.0f} s")

    def _work(self) -> None:
        try:
            self._bench()
        except CaseFailed as failure:
            if not self.stop.is_set():
                self.emit(DeviceSetAside(self.device, failure, cases_left=self.cases_left))
        except Exception as error:  # noqa: BLE001 - a bug on one lane is told, and the others go on
            message = f"device {self.device.id}: a bug of the harness ({error!r}); please report it with --verbose."
            self.emit(
                DeviceSetAside(
                    self.device,
                    CaseFailed(Reason.BUG, message, log=traceback.format_exc()),
                    cases_left=self.cases_left,
                )
            )
        finally:
            pushed = self.transport.bytes_pushed
            self._leave()
            self.emit(LaneEnded(self.device, pushed))

    def _leave(self) -> None:
        try:
            self.transport.release_turn(self.turn)
        except CaseFailed:
            pass  # it can't be told now: the turn expires there by itself
        finally:
            self.transport.close()
            self.keeper.leave(self.device.id)

    def _bench(self) -> None:
        if not self._get_device():
            return
        facts = collect_facts(self.transport)
        device_tool = install_tool(
            self.device, self.transport, facts=facts, tools=self.snapshot.tools
        )
        session = DeviceSession(
            self.device, self.transport, device_tool=device_tool, facts=facts, turn=self.turn
        )
        protocols = self.request.protocols[self.device.id]
        cases = plan_cases(
            self.request.artifacts,
            self.device.id,
            tool=device_tool.tool,
            protocols=protocols,
            cpus=session.cpus,
        )
        plan = split_cases(cases, self.snapshot.measured, force=self.request.force)
        self.emit(
            DevicePlanned(self.device, facts, to_measure=plan.to_measure, measured=plan.measured)
        )
        if self.request.dry_run:
            return
        batches = group_into_batches(plan.to_measure)
        for number, batch in enumerate(batches):
            self._measure(batch, session, sum(map(len, batches[number + 1 :])))
        if self.request.check_answers:
            self._check_answers(plan.measured, session)
        if self.request.profile:
            self._profile(cases, session)

    def _measure(self, cases: Sequence[Case], session: DeviceSession, later: int) -> None:
        work = BatchRunner(
            cases, session, context=self._make_context(session), stop=self.stop, emit=self.emit
        )
        more = True
        while more and not self.stop.is_set():
            self.cases_left = work.cases_left + later
            more = self._held_on(work.step)
            if more and work.is_between_blocks and self._let_others(work.others_waiting):
                work.look_again()
        self.cases_left = later if not more else self.cases_left
        self.canaries += work.canaries

    def _make_context(self, session: DeviceSession) -> BatchContext:
        pending = {} if self.request.force else self.snapshot.pending
        kernels = self.snapshot.kernels.get(
            (self.device.id, session.device_tool.tool), KernelVerdict.UNKNOWN
        )
        alike = make_canary_case(session, FLOAT_CANARY)
        history = [
            one for one in (*self.snapshot.canaries, *self.canaries) if is_comparable(one, alike)
        ]
        return BatchContext(
            self.snapshot.file,
            pending,
            canaries=history,
            kernels=kernels,
            is_binary=self.snapshot.binary.__contains__,
            answer_checker=self.answer_checker,
        )

    def _held_on(self, step: Callable[[], bool]) -> bool:
        """Does a step; where the device was lost to someone else, waits for it, and says that there is more to do."""
        try:
            more = step()
            if not more or self.keeper.is_ours(self.device.id):
                return more
        except DeviceBusy:
            pass
        self._get_device()
        return True

    def _for_each(self, cases: Sequence[Case], work: Callable[[Case], None]) -> None:
        """Do `work` for each case; one during which the device was lost to someone else is repeated."""
        remaining = list(cases)

        def work_on_next() -> bool:
            work(remaining[0])
            remaining.pop(0)
            return bool(remaining)

        while remaining and not self.stop.is_set():
            self._held_on(work_on_next)

    def _check_answers(self, measured: Sequence[Case], session: DeviceSession) -> None:
        """Of cases that are not measured again."""
        self._for_each(measured, partial(self._check_answer, session=session))

    def _check_answer(self, case: Case, session: DeviceSession) -> None:
        if not self.answer_checker.is_due(case):
            return
        answer = self.answer_checker.check(case, session, file=self.snapshot.file)
        self.emit(AnswerChecked(self.device, answer))
        if answer.classes_agree is False:
            failure = CaseFailed(Reason.WRONG_ANSWER, answer.message)
            self.emit(CaseGivenUp(self.device, case, failure=failure))

    def _profile(self, cases: Sequence[Case], session: DeviceSession) -> None:
        """One that can't be taken is told; the measurement stands."""
        if session.device_tool.tool.name == PYTHON_RUNNER:
            message = f"device {self.device.id}: the Python runner can't tell operators apart; add lce_benchmark_model there."
            self.emit(ProfileFailed(self.device, CaseFailed(Reason.NOT_PROFILED, message)))
            return
        self._for_each(cases, partial(self._profile_case, session=session))

    def _profile_case(self, case: Case, session: DeviceSession) -> None:
        try:
            operators = profile_operators(case, session, self.snapshot.file(case.artifact))
        except DeviceLost:
            raise
        except CaseFailed as failure:
            self.emit(ProfileFailed(self.device, failure))
        else:
            self.emit(CaseProfiled(self.device, case, operators=operators))

    def _let_others(self, waiting_there: int) -> bool:
        """Between two blocks, whoever waits is let go first: others of this database, or on the device itself."""
        in_line = self.keeper.others_waiting(self.device.id)
        if in_line or waiting_there:
            self.transport.release_turn(self.turn)
            if in_line:
                self.keeper.leave(self.device.id)
            self._get_device()
        return bool(in_line or waiting_there)

    def _get_device(self) -> bool:
        """Waits for the lease, then for the turn on the device itself. Raises DeviceBusy."""
        return (
            self.keeper.wait_for(self.device.id, self._held, patience_s=self.request.wait_s)
            and self._take_turn()
        )

    def _held(self, holder: str) -> None:
        self._report(f"waiting: {holder} has it")

    def _take_turn(self) -> bool:
        self._report("connecting")
        heard = ""
        waited_s = 0.0
        while (holder := self._ask_for_turn()) is not None:
            if holder != heard:
                self._held(heard := holder)
            if waited_s >= self.request.wait_s:
                message = f"device {self.device.id}: used by {holder} for {waited_s:.0f} s; bench it later."
                raise DeviceBusy(message)
            if self.stop.wait(_ASK_AGAIN_S):
                return False
            waited_s += _ASK_AGAIN_S
        return True

    def _ask_for_turn(self) -> str | None:
        """Who has the device, or None where it is ours, with its governor set."""
        if self.device.governor is None:
            return self.transport.take_turn(self.turn)
        return self.transport.set_governor(self.turn, self.device.governor)
