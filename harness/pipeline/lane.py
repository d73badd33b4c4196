"""One device's part of a bench: a thread that gets the device, measures its cases one by one, and lets others in."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from harness.core.bench import Case, Process, Protocol, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.devices import Patience, Transport, Turn, open_transport
from harness.pipeline.events import (
    CaseGivenUp,
    CaseMeasured,
    DevicePlanned,
    FleetEvent,
    LaneEnded,
    RunEnded,
    SetAside,
    Told,
)
from harness.pipeline.leasing import LeaseKeeper
from harness.pipeline.measure import Station, facts_of, measure_case
from harness.pipeline.plan import plan_cases, split_cases
from harness.pipeline.tooling import ready_tool
from harness.store.leases import owner
from harness.store.tools import ToolFile
from harness.store.workspace import Workspace

_ASK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Order:
    """What is wanted: these artifacts, under each device's own protocols. `wait_s`: how long for a busy device."""

    artifacts: tuple[str, ...]
    protocols: Mapping[str, tuple[Protocol, ...]]
    force: bool = False
    wait_s: float = 3600.0
    dry_run: bool = False

    def pairs(self, device: str) -> list[tuple[str, Protocol]]:
        return [(artifact, protocol) for protocol in self.protocols[device] for artifact in self.artifacts]


@dataclass(frozen=True)
class Known:
    """What was there as the bench began: in the database, and in the workspace."""

    measured: frozenset[str]
    pending: Mapping[str, Sequence[Process]]
    file: Callable[[str], Path]
    identity: str
    tools: Mapping[str, ToolFile]
    workspace: Workspace


@dataclass
class Lane:
    """One device's thread.

    The lease keeps other harnesses of this database off the device, and the turn there those of other databases: a
    harness that was killed is followed at once by another with the same turn.
    """

    device: Device
    registry: Mapping[str, Device]
    order: Order
    known: Known
    keeper: LeaseKeeper
    tell: Callable[[FleetEvent], None]
    stop: Event
    left: int | None = None
    others_there: int = 0
    transport: Transport = field(init=False)
    turn: Turn = field(init=False)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        patience = Patience(self.device.patience_s, self.stop, self._lost)
        folder = self.known.workspace.device_folder(self.device.id)
        self.transport = open_transport(self.device, self.registry, folder, patience)
        self.turn = Turn(self.known.identity, owner())
        self.thread = Thread(target=self._work, name=f"lane {self.device.id}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        """From another thread: what waits for the link gives up."""
        self.transport.interrupt()

    def _say(self, text: str) -> None:
        self.tell(Told(self.device, text))

    def _lost(self, why: str, pause_s: float) -> None:
        self._say(f"{why}: trying again in {pause_s:.0f} s")

    def _work(self) -> None:
        try:
            self._bench()
        except CaseFailed as failure:
            if not self.stop.is_set():
                self.tell(SetAside(self.device, failure, self.left))
        except Exception as error:  # noqa: BLE001 - a bug on one lane is told, and the others go on
            message = f"device {self.device.id}: a bug of the harness ({error!r}); please report it with --verbose."
            self.tell(SetAside(self.device, CaseFailed(Reason.BUG, message, traceback.format_exc()), self.left))
        finally:
            pushed = self.transport.bytes_pushed
            self._leave()
            self.tell(LaneEnded(self.device, pushed))

    def _leave(self) -> None:
        try:
            self.transport.leave(self.turn)
        except CaseFailed:
            pass  # it can't be told now: the turn expires there by itself
        finally:
            self.transport.close()
            self.keeper.leave(self.device.id)

    def _bench(self) -> None:
        if not self._get_device():
            return
        facts = facts_of(self.transport)
        ready = ready_tool(self.device, self.transport, facts, self.known.tools)
        station = Station(self.device, self.transport, ready, facts, self.turn)
        protocols = self.order.protocols[self.device.id]
        cases = plan_cases(self.order.artifacts, self.device.id, ready.tool, protocols, self.device.cpus)
        plan = split_cases(cases, self.known.measured, self.order.force)
        self.tell(DevicePlanned(self.device, facts, plan.new, plan.done))
        if not self.order.dry_run:
            self._measure_all(plan.new, station)

    def _measure_all(self, cases: Sequence[Case], station: Station) -> None:
        for number, case in enumerate(cases):
            self.left = len(cases) - number
            if number > 0:
                self._let_others()
            while not self.stop.is_set() and not self._measured(case, station):
                self._get_device()
            if self.stop.is_set():
                return
        self.left = 0

    def _measured(self, case: Case, station: Station) -> bool:
        """Whether the case has ended; False where the device was taken by others in between."""
        pending = () if self.order.force else self.known.pending.get(case.id, ())

        def ended(process: Process, run: Run | None, waiting: int) -> None:
            self.others_there = waiting
            self.tell(RunEnded(self.device, case, process, run))
            if not self.keeper.is_ours(self.device.id):
                raise CaseFailed(
                    Reason.DEVICE_BUSY, f"device {self.device.id}: the lease was lost; it is asked for anew."
                )

        try:
            measurement = measure_case(case, station, self.known.file, pending, ended)
            self.tell(CaseMeasured(self.device, case, measurement))
        except Unreachable:
            raise
        except CaseFailed as failure:
            if failure.reason is Reason.DEVICE_BUSY:
                return False
            self.tell(CaseGivenUp(self.device, case, failure))
        return True

    def _let_others(self) -> None:
        """Between two cases, whoever waits is let go first: others of this database, or on the device itself."""
        in_line = self.keeper.others_waiting(self.device.id)
        if in_line or self.others_there:
            self.transport.leave(self.turn)
            if in_line:
                self.keeper.leave(self.device.id)
            self._get_device()

    def _get_device(self) -> bool:
        """Waits for the lease, then for the turn on the device itself. Raises CaseFailed: device_busy."""
        return self.keeper.wait_for(self.device.id, self._held, self.order.wait_s) and self._take_turn()

    def _held(self, holder: str) -> None:
        self._say(f"waiting: {holder} has it")

    def _take_turn(self) -> bool:
        self._say("connecting")
        heard = ""
        waited_s = 0.0
        while (holder := self.transport.take_turn(self.turn)) is not None:
            if holder != heard:
                self._held(heard := holder)
            if waited_s >= self.order.wait_s:
                message = f"device {self.device.id}: used by {holder} for {waited_s:.0f} s; bench it later."
                raise CaseFailed(Reason.DEVICE_BUSY, message)
            if self.stop.wait(_ASK_AGAIN_S):
                return False
            waited_s += _ASK_AGAIN_S
        return True
