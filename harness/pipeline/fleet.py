"""All devices at once, one case at a time on each: a lane for each device, and one place where rows are written."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeAlias

from harness.core.bench import Case, Measurement, Process, Protocol, Run
from harness.core.device import Device
from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.devices import Patience, Transport, Turn, open_transport
from harness.pipeline.leasing import LeaseKeeper
from harness.pipeline.measure import Station, facts_of, measure_case
from harness.pipeline.plan import plan_cases, split_cases
from harness.pipeline.tooling import ready_tool
from harness.store.artifacts import ArtifactFiles
from harness.store.cases import CaseRows
from harness.store.devices import DeviceRows
from harness.store.leases import Leases, owner
from harness.store.tools import ToolFile
from harness.store.workspace import Workspace

_ASK_AGAIN_S = 2.0
_GOODBYE_S = 15.0


@dataclass(frozen=True)
class Told:
    """A device's lane says what it does, or waits for."""

    device: Device
    text: str


@dataclass(frozen=True)
class DevicePlanned:
    """The device answered: `new` cases are measured now, `done` have been. `pushed_bytes` so far: its tool."""

    device: Device
    facts: Mapping[str, str]
    new: tuple[Case, ...]
    done: tuple[Case, ...]


@dataclass(frozen=True)
class RunEnded:
    """A process of a case has ended; `run` is None where its output could not be read."""

    device: Device
    case: Case
    process: Process
    run: Run | None


@dataclass(frozen=True)
class CaseMeasured:
    device: Device
    case: Case
    measurement: Measurement


@dataclass(frozen=True)
class CaseGivenUp:
    device: Device
    case: Case
    failure: CaseFailed


@dataclass(frozen=True)
class SetAside:
    """The device can't be used now; `left` cases wait for a later bench (None where it never told which)."""

    device: Device
    failure: CaseFailed
    left: int | None


@dataclass(frozen=True)
class LaneEnded:
    device: Device
    pushed_bytes: int


FleetEvent: TypeAlias = Told | DevicePlanned | RunEnded | CaseMeasured | CaseGivenUp | SetAside | LaneEnded


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
class Stores:
    """What a bench reads and writes; only the thread that takes the events writes rows."""

    workspace: Workspace
    files: ArtifactFiles
    cases: CaseRows
    devices: DeviceRows
    leases: Leases
    tools: Mapping[str, ToolFile]


def bench_fleet(
    devices: Sequence[Device], registry: Mapping[str, Device], order: Order, stores: Stores
) -> Iterator[FleetEvent]:
    """Yields every event after it is stored. Where the caller stops early, what runs on the devices is ended."""
    ids = [device.id for device in devices]
    known = _Known(
        stores.cases.measured_on(ids), stores.cases.pending_on(ids), cache(stores.files.whole), stores.leases.identity()
    )
    events: SimpleQueue[FleetEvent] = SimpleQueue()
    stop = Event()
    with LeaseKeeper(stores.leases, stop) as keeper:
        lanes = [_Lane(device, registry, order, stores, known, keeper, events.put, stop) for device in devices]
        try:
            for lane in lanes:
                lane.start()
            running = len(lanes)
            while running:
                event = events.get()
                if not order.dry_run:
                    _store(event, order, stores)
                running -= isinstance(event, LaneEnded)
                yield event
        finally:
            _stop(lanes, stop)


@dataclass(frozen=True)
class _Known:
    """What was in the database as the bench began."""

    measured: frozenset[str]
    pending: Mapping[str, Sequence[Process]]
    file: Callable[[str], Path]
    identity: str


def _store(event: FleetEvent, order: Order, stores: Stores) -> None:
    match event:
        case DevicePlanned(device=device):
            stores.devices.seen(device, event.facts)
            stores.cases.plan(event.new, device.kind)
            if order.force:
                stores.cases.forget_pending(event.new)
            stores.devices.want({device.id: [(case.artifact, case.protocol) for case in event.new]})
            stores.devices.unwant(device.id, [(case.artifact, case.protocol) for case in event.done])
        case RunEnded():
            stores.cases.keep(event.case, event.process)
        case CaseMeasured():
            stores.cases.finish(event.device.kind, event.measurement)
        case CaseGivenUp():
            stores.cases.fail(event.case, event.device.kind, event.failure)
        case SetAside():
            stores.devices.set_aside(event.device, event.failure)
            if event.left is None:
                stores.devices.want({event.device.id: order.pairs(event.device.id)})


def _stop(lanes: Sequence["_Lane"], stop: Event) -> None:
    stop.set()
    for lane in lanes:
        lane.end()
    for lane in lanes:
        lane.thread.join(_GOODBYE_S)


@dataclass
class _Lane:
    """One device's thread.

    The lease keeps other harnesses of this database off the device, and the turn there those of other databases: a
    harness that was killed is followed at once by another with the same turn.
    """

    device: Device
    registry: Mapping[str, Device]
    order: Order
    stores: Stores
    known: _Known
    keeper: LeaseKeeper
    tell: Callable[[FleetEvent], None]
    stop: Event
    left: int | None = None
    transport: Transport = field(init=False)
    turn: Turn = field(init=False)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        patience = Patience(self.device.patience_s, self.stop, self._lost)
        folder = self.stores.workspace.device_folder(self.device.id)
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
        ready = ready_tool(self.device, self.transport, facts, self.stores.tools)
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
            while not self.stop.is_set() and not self._measured(case, station):
                self._get_device()
            if self.stop.is_set():
                return
        self.left = 0

    def _measured(self, case: Case, station: Station) -> bool:
        """Whether the case has ended; False where the device was taken by others in between."""
        pending = () if self.order.force else self.known.pending.get(case.id, ())
        others = 0

        def ended(process: Process, run: Run | None, waiting: int) -> None:
            nonlocal others
            others = waiting
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
        self._let_others(others)
        return True

    def _let_others(self, others_there: int) -> None:
        """After each case, whoever waits is let go first."""
        if others_there:
            self.transport.leave(self.turn)
        if self.keeper.others_waiting(self.device.id):
            self.transport.leave(self.turn)
            self.keeper.leave(self.device.id)
            self._get_device()
        elif others_there:
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
