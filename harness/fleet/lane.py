"""A lane: the thread that measures one device's cases in a bench.

It waits for the device, measures batch by batch, and lets others use the device in between. While
nothing is to be measured, the device is free.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread

from harness.bench.tools import PYTHON_RUNNER
from harness.core.bench import Case, Process, Tool
from harness.core.device import Device
from harness.core.errors import CaseFailed, DeviceBusy, DeviceLost, Reason
from harness.core.observations import Canary, KernelVerdict
from harness.devices import Patience, Transport, Turn, open_transport
from harness.fleet.answer_check import AnswerChecker, ReferenceAnswers
from harness.fleet.batch import BatchContext, BatchRunner, group_into_batches, take_batch
from harness.fleet.canary import FLOAT_CANARY, is_comparable, make_canary_case
from harness.fleet.device_tool import collect_facts, install_tool
from harness.fleet.events import (
    AnswerChecked,
    CaseGivenUp,
    CaseProfiled,
    DevicePlanned,
    DeviceReady,
    DeviceSetAside,
    FleetEvent,
    LaneConnecting,
    LaneEnded,
    LaneIdle,
    LaneMessage,
    ProfileFailed,
)
from harness.fleet.failures import to_failure
from harness.fleet.inbox import Inbox
from harness.fleet.lease_keeper import LeaseKeeper
from harness.fleet.plan import Addition, FleetRequest, plan_cases, split_cases
from harness.fleet.process import DeviceSession, profile_operators
from harness.fleet.references import References
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace

_POLL_INTERVAL_S = 2.0


@dataclass(frozen=True)
class BenchSnapshot:
    """The contents of the database and the workspace when the bench began.

    An `Addition` has what belongs to its artifacts. `turn` is what the lanes take on their devices.
    """

    file: Callable[[str], Path]
    find_values: Callable[[str], Path]
    turn: Turn
    tools: Mapping[str, ToolFile]
    workspace: Workspace
    canaries: Sequence[Canary]
    kernels: Mapping[tuple[str, Tool], KernelVerdict]
    answers: Mapping[tuple[str, str, Tool], bool | None]
    references: ReferenceAnswers


@dataclass
class Lane:
    """One device's thread.

    The lease keeps other harnesses with this database off the device, and the turn on the device
    keeps off those with other databases. All harnesses with one database share its token, so that
    one can follow a killed one at once.

    The last event of a lane is LaneEnded. `error` is what kept it from reporting its end.
    """

    device: Device
    registry: Mapping[str, Device]
    request: FleetRequest
    snapshot: BenchSnapshot
    keeper: LeaseKeeper
    emit: Callable[[FleetEvent], None]
    cases_left: int | None = None
    error: BaseException | None = None
    stop: Event = field(init=False, default_factory=Event)
    inbox: Inbox = field(init=False, default_factory=Inbox)
    canaries: list[Canary] = field(init=False, default_factory=list)
    answer_checker: AnswerChecker = field(init=False)
    _transport: Transport | None = field(init=False, default=None)
    _thread: Thread = field(init=False)
    _planned: set[str] = field(init=False, default_factory=set)
    _pending: dict[str, Sequence[Process]] = field(init=False, default_factory=dict)
    _references: References = field(init=False, default_factory=References)
    _binary: set[str] = field(init=False, default_factory=set)
    _waiting: list[list[Case]] = field(init=False, default_factory=list)
    _to_check: list[Case] = field(init=False, default_factory=list)
    _to_profile: list[Case] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.answer_checker = AnswerChecker(
            self.snapshot.references, self.snapshot.answers, recheck=self.request.check_answers
        )
        self._thread = Thread(target=self._run, name=f"lane {self.device.id}", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no thread left
            self.error = error

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Make everything that waits end, or fail; for calls from another thread."""
        self.stop.set()
        self.inbox.close()
        if self._transport is not None:
            self._transport.interrupt()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def transport(self) -> Transport:
        """The transport to the device, which is opened when the lane first needs it."""
        if self._transport is None:
            patience = Patience(self.device.patience_s, self.stop, on_retry=self._report_retry)
            folder = self.snapshot.workspace.device_folder(self.device.id)
            self._transport = open_transport(
                self.device, self.registry, local_folder=folder, patience=patience
            )
        return self._transport

    def _report(self, text: str) -> None:
        self.emit(LaneMessage(self.device, text))

    def _report_retry(self, reason: str, pause_s: float) -> None:
        self._report(f"{reason}: trying again in {pause_s:.0f} s")

    def _run(self) -> None:
        try:
            with ExitStack() as leaving:
                for step in (self._release_lease, self._disconnect, self._release_turn):
                    leaving.callback(self._attempt, step)
                self._attempt(self._bench)
            pushed_bytes = self._transport.bytes_pushed if self._transport else 0
            self.emit(LaneEnded(self.device, pushed_bytes))
        except BaseException as error:  # noqa: BLE001 - bench_fleet reports it
            self.error = error

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do a step; whatever it raises sets the device aside, and affects no other lane."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - reported, with its traceback if it is a bug
            if isinstance(error, CaseFailed) and self.stop.is_set():
                return
            failure = to_failure(self.device.id, error)
            self.emit(DeviceSetAside(self.device, failure, cases_left=self.cases_left))

    def _release_turn(self) -> None:
        if self._transport is not None and self._transport.was_reached:
            with suppress(CaseFailed):  # the device can't be reached: the turn expires by itself
                self._transport.release_turn(self.snapshot.turn)

    def _disconnect(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _release_lease(self) -> None:
        self.keeper.release(self.device.id)

    def _bench(self) -> None:
        session = self._prepare()
        additions = self.inbox.take()
        while session is not None and not self.stop.is_set():
            for addition in additions:
                self._plan(addition, session)
            if self._waiting:
                self._measure(take_batch(self._waiting), session)
            elif self._has_more_to_check():
                self._check_more(session)
            elif additions := self._rest():
                session = self._prepare()
                continue
            else:
                return
            additions = self.inbox.take()

    def _prepare(self) -> DeviceSession | None:
        """Wait for the device and install its tool, or return None if the bench was stopped.

        Others may have used the device since the last time, or it may have started anew.
        """
        if not self._get_device():
            return None
        facts = collect_facts(self.transport)
        device_tool = install_tool(
            self.device, self.transport, facts=facts, tools=self.snapshot.tools
        )
        self.emit(DeviceReady(self.device, facts))
        return DeviceSession(
            self.device,
            self.transport,
            device_tool=device_tool,
            facts=facts,
            turn=self.snapshot.turn,
            find_values=self.snapshot.find_values,
        )

    def _rest(self) -> list[Addition]:
        """Let others use the device until more is added, or until nothing more will be.

        Return what was added. The connection stays.
        """
        if self.inbox.is_closed:
            return []
        self._release_turn()
        self._release_lease()
        self.emit(LaneIdle(self.device))
        return self.inbox.wait_for_more()

    def _plan(self, addition: Addition, session: DeviceSession) -> None:
        """Plan the cases of artifacts that were added, but those that are planned already."""
        cases = plan_cases(
            addition.artifacts,
            self.device.id,
            tool=session.device_tool.tool,
            protocols=self.request.protocols[self.device.id],
            cpus=session.cpus,
            inputs=self.request.inputs,
        )
        new = [case for case in cases if case.id not in self._planned]
        plan = split_cases(new, addition.measured, force=self.request.force)
        self.emit(DevicePlanned(self.device, to_measure=plan.to_measure, measured=plan.measured))
        if self.request.dry_run:
            return
        self._planned.update(case.id for case in new)
        for case in plan.measured:
            self._references.add(case, addition.measured[case.id])
        self._binary |= addition.binary
        if not self.request.force:
            ids = addition.pending.keys() & self._planned
            self._pending |= {id: addition.pending[id] for id in ids}
        self._waiting += group_into_batches(plan.to_measure)
        self.cases_left = self._count_waiting()
        if self.request.check_answers:
            self._to_check += plan.measured
        if self.request.profile:
            self._to_profile += new

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting))

    def _has_more_to_check(self) -> bool:
        return bool(self._to_check or self._to_profile)

    def _check_more(self, session: DeviceSession) -> None:
        """Check answers, and take operator profiles: this is done once nothing is to measure."""
        to_check, self._to_check = self._to_check, []
        to_profile, self._to_profile = self._to_profile, []
        self._check_answers(to_check, session)
        if to_profile:
            self._profile(to_profile, session)

    def _measure(self, cases: Sequence[Case], session: DeviceSession) -> None:
        references = self._references.find_missing(cases) if self.request.uses_reference else []
        runner = BatchRunner(
            cases,
            session,
            context=self._make_context(session),
            stop=self.stop,
            emit=self.emit,
            references=references,
        )
        more = True
        while more and not self.stop.is_set():
            self.cases_left = runner.cases_left + self._count_waiting()
            more = self._try_step(runner.step)
            may_yield = runner.is_between_blocks and (more or self._waiting)
            if may_yield and self._yield_device(runner.others_waiting):
                runner.forget_latest_run()
        if not more:
            self.cases_left = self._count_waiting()
        self.canaries += runner.canaries
        for case in runner.measured:
            self._references.add(case)
        for case in runner.failed_references:
            self._references.discard(case)
        for case in (*cases, *references):
            self._pending.pop(case.id, None)

    def _make_context(self, session: DeviceSession) -> BatchContext:
        kernels = self.snapshot.kernels.get(
            (self.device.id, session.device_tool.tool), KernelVerdict.UNKNOWN
        )
        canary_case = make_canary_case(session, FLOAT_CANARY)
        canaries = (*self.snapshot.canaries, *self.canaries)
        return BatchContext(
            self.snapshot.file,
            self._pending,
            canaries=[canary for canary in canaries if is_comparable(canary, canary_case)],
            kernels=kernels,
            is_binary=self._binary.__contains__,
            answer_checker=self.answer_checker,
            limits_us={
                threads: limit_us
                for (device, threads), limit_us in self.request.limits.items()
                if device == self.device.id
            },
        )

    def _try_step(self, step: Callable[[], bool]) -> bool:
        """Do a step, and return whether there is more to do.

        If the device was lost to someone else, wait for it; there is more to do then.
        """
        try:
            more = step()
            if not more or self.keeper.is_ours(self.device.id):
                return more
        except DeviceBusy:
            pass
        self._get_device()
        return True

    def _for_each(self, cases: Sequence[Case], work: Callable[[Case], None]) -> None:
        """Call `work` for each case, again if the device was lost to someone else meanwhile."""
        remaining = list(cases)

        def process_next() -> bool:
            work(remaining[0])
            remaining.pop(0)
            return bool(remaining)

        while remaining and not self.stop.is_set():
            self._try_step(process_next)

    def _check_answers(self, measured: Sequence[Case], session: DeviceSession) -> None:
        """Check the answers of cases that are not measured again."""
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
        """Take the operator profiles; a failure is reported and leaves the measurement valid."""
        if session.device_tool.tool.name == PYTHON_RUNNER:
            message = (
                f"device {self.device.id}: the Python runner can't time single operators; "
                "add lce_benchmark_model for this device with `harness tools add`."
            )
            self.emit(ProfileFailed(self.device, CaseFailed(Reason.NOT_PROFILED, message)))
            return
        self._for_each(cases, partial(self._profile_case, session=session))

    def _profile_case(self, case: Case, session: DeviceSession) -> None:
        try:
            operators = profile_operators(case, session, file=self.snapshot.file(case.artifact))
        except DeviceLost:
            raise
        except CaseFailed as failure:
            self.emit(ProfileFailed(self.device, failure, case=case))
        else:
            self.emit(CaseProfiled(self.device, case, operators=operators))

    def _yield_device(self, waiting_for_turn: int) -> bool:
        """Let others use the device first, and return whether there were any.

        They wait for the lease in this database, or for the turn on the device.
        """
        waiting_for_lease = self.keeper.count_waiting(self.device.id)
        if waiting_for_lease or waiting_for_turn:
            self.transport.release_turn(self.snapshot.turn)
            if waiting_for_lease:
                self.keeper.release(self.device.id)
            self._get_device()
        return bool(waiting_for_lease or waiting_for_turn)

    def _get_device(self) -> bool:
        """Wait for the lease, then for the turn on the device.

        Return False if the bench was stopped. Raises DeviceBusy.
        """
        return (
            self.keeper.wait_for(
                self.device.id,
                self._report_holder,
                patience_s=self.request.wait_s,
                stop=self.stop,
            )
            and self._take_turn()
        )

    def _report_holder(self, holder: str) -> None:
        self._report(f"waiting: in use by {holder}")

    def _take_turn(self) -> bool:
        self.emit(LaneConnecting(self.device))
        reported = ""
        waited_s = 0.0
        while (holder := self._request_turn()) is not None:
            if holder != reported:
                self._report_holder(holder)
                reported = holder
            if waited_s >= self.request.wait_s:
                message = (
                    f"device {self.device.id}: in use by {holder} for {waited_s:.0f} s; "
                    "bench it later."
                )
                raise DeviceBusy(message)
            if self.stop.wait(_POLL_INTERVAL_S):
                return False
            waited_s += _POLL_INTERVAL_S
        return True

    def _request_turn(self) -> str | None:
        """Return who has the device, or None if it is ours, with its governor set."""
        if self.device.governor is None:
            return self.transport.take_turn(self.snapshot.turn)
        return self.transport.set_governor(self.snapshot.turn, self.device.governor)
