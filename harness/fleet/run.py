"""A bench of all devices at once, with a lane for each; only one thread writes rows."""

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from queue import Empty, SimpleQueue

from harness.core.bench import Case, Protocol
from harness.core.device import Device
from harness.core.errors import HarnessError
from harness.devices import Turn
from harness.fleet.answer_check import ReferenceAnswers
from harness.fleet.events import (
    AnswerChecked,
    BatchEnded,
    BatchStarted,
    CanaryMeasured,
    CaseGivenUp,
    CaseMeasured,
    CaseProfiled,
    DevicePlanned,
    DeviceReady,
    DeviceSetAside,
    FleetEvent,
    LaneEnded,
    RunEnded,
)
from harness.fleet.failures import to_failure
from harness.fleet.lane import BenchSnapshot, Lane
from harness.fleet.lease_keeper import LeaseKeeper
from harness.fleet.plan import Addition, FleetRequest
from harness.store.files.artifacts import ArtifactFiles
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.leases import Leases, describe_owner
from harness.store.rows.observations import ObservationRows

_JOIN_TIMEOUT_S = 15.0
_LIVENESS_INTERVAL_S = 1.0


@dataclass(frozen=True)
class FleetStores:
    """The stores that a bench reads and writes; only the thread that handles events writes rows."""

    workspace: Workspace
    files: ArtifactFiles
    cases: CaseRows
    devices: DeviceRows
    leases: Leases
    observations: ObservationRows
    tools: Mapping[str, ToolFile]


class FleetBench:
    """A bench of all devices at once, which takes artifacts while it runs.

    One thread calls its methods, and thereby writes all rows. `open_fleet` makes it.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        request: FleetRequest,
        stores: FleetStores,
        events: SimpleQueue[FleetEvent],
    ) -> None:
        self._request = request
        self._stores = stores
        self._events = events
        self._running = {lane.device.id: lane for lane in lanes}
        self._unplanned: dict[str, list[Addition]] = {lane.device.id: [] for lane in lanes}
        self._set_aside: set[str] = set()
        self._failing: set[str] = set()  # an event of theirs could not be stored

    @property
    def running(self) -> Set[str]:
        """The ids of the devices whose lanes have not ended: there are more events of them."""
        return self._running.keys()

    def add(self, artifacts: Sequence[str], devices: Collection[str] | None = None) -> None:
        """Have these artifacts measured, too, on the devices with these ids, or on all.

        Their rows must stand. Those that are added together share a batch if they fit into one.
        On a device that was set aside, they stay in its queue for a later bench.
        """
        ids = [id for id in self._unplanned if devices is None or id in devices]
        addition = _read_addition(artifacts, ids, stores=self._stores)
        for id in ids:
            self._unplanned[id].append(addition)
            if id in self._running and id not in self._set_aside:
                self._running[id].inbox.add(addition)
            else:
                self._enqueue_unplanned(id)

    def close(self) -> None:
        """Say that no more artifacts will be added: each lane ends once it has done all."""
        for lane in self._running.values():
            lane.inbox.close()

    def finish(self) -> Iterator[FleetEvent]:
        """Close the order, and yield the events that are left until every lane has ended."""
        self.close()
        while self.running:
            if (event := self.receive(_LIVENESS_INTERVAL_S)) is not None:
                yield event

    def receive(self, timeout_s: float) -> FleetEvent | None:
        """Return the lanes' next event after it is stored, or None if none comes in time.

        Each device's last event is LaneEnded, whatever happened to its lane. Raises HarnessError if
        the database can't be written to: then no lane can go on.
        """
        # All events of a lane that has ended precede a moment when no event comes.
        ended = [lane for lane in self._running.values() if not lane.is_running]
        try:
            event = self._events.get(timeout=timeout_s)
        except Empty:
            for lane in ended:
                self._events.put(_explain_end(lane, lane.error or RuntimeError("its thread ended")))
                self._events.put(LaneEnded(lane.device, pushed_bytes=0))
            return None
        if isinstance(event, LaneEnded):
            del self._running[event.device.id]
        elif event.device.id in self._failing:
            return None
        return event if self._request.dry_run else self._keep(event)

    def _keep(self, event: FleetEvent) -> FleetEvent:
        """Store an event and return it. A lane with one that can't be stored is set aside."""
        if isinstance(event, DeviceSetAside) and self._unplanned[event.device.id]:
            event = replace(event, cases_left=None)
        try:
            self._store(event)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - stored as a bug, with its traceback
            lane = self._running[event.device.id]
            self._failing.add(lane.device.id)
            lane.end()
            event = _explain_end(lane, error)
            self._store(event)
        return event

    def _store(self, event: FleetEvent) -> None:
        stores, request = self._stores, self._request
        match event:
            case DeviceReady():
                stores.devices.mark_ready(event.device, event.facts)
            case DevicePlanned(device=device):
                stores.cases.plan(event.to_measure, device.kind)
                if request.force:
                    stores.cases.drop_pending_runs(event.to_measure)
                stores.devices.enqueue({device.id: _pairs_of(event.to_measure)})
                stores.devices.dequeue(device.id, _pairs_of(event.measured))
                self._unplanned[device.id].pop(0)
            case BatchStarted():
                stores.observations.begin_batch(event.batch)
            case BatchEnded():
                stores.observations.end_batch(event.batch)
            case CanaryMeasured():
                stores.observations.add_canary(event.canary)
            case AnswerChecked():
                stores.observations.add_answer(event.answer)
            case CaseProfiled():
                stores.observations.add_profile(event.case, event.operators)
            case RunEnded():
                stores.cases.add_pending_run(event.case, event.process)
            case CaseMeasured():
                stores.cases.finish(event.device.kind, event.measurement)
            case CaseGivenUp():
                stores.cases.fail(event.case, event.device.kind, failure=event.failure)
            case DeviceSetAside(device=device):
                stores.devices.set_aside(device, event.failure)
                self._set_aside.add(device.id)
                self._enqueue_unplanned(device.id)

    def _enqueue_unplanned(self, device: str) -> None:
        """Leave in a device's queue what was added and will not be planned in this bench."""
        for addition in self._unplanned[device]:
            pairs = self._request.list_pairs(device, addition.artifacts)
            self._stores.devices.enqueue({device: pairs})
        self._unplanned[device].clear()


@contextmanager
def open_fleet(
    devices: Sequence[Device],
    registry: Mapping[str, Device],
    request: FleetRequest,
    stores: FleetStores,
) -> Iterator[FleetBench]:
    """Start a lane for each device, with the request's artifacts; the context's end ends them.

    The processes on the devices are ended, too, if any is left.
    """
    ids = [device.id for device in devices]
    snapshot = BenchSnapshot(
        file=cache(stores.files.verify),
        find_values=cache(stores.files.find_values),
        turn=Turn(stores.leases.get_database_id(), describe_owner()),
        tools=stores.tools,
        workspace=stores.workspace,
        canaries=stores.observations.list_canaries(ids),
        kernels=stores.observations.get_kernel_verdicts(ids),
        answers=stores.observations.get_answers(ids),
        references=ReferenceAnswers(stores.files),
    )
    events: SimpleQueue[FleetEvent] = SimpleQueue()
    with LeaseKeeper(stores.leases) as keeper:
        lanes = [
            Lane(
                device,
                registry,
                request=request,
                snapshot=snapshot,
                keeper=keeper,
                emit=events.put,
            )
            for device in devices
        ]
        bench = FleetBench(lanes, request, stores=stores, events=events)
        if request.artifacts:
            bench.add(request.artifacts)
        try:
            for lane in lanes:
                lane.start()
            yield bench
        finally:
            _stop(lanes)


def bench_fleet(
    devices: Sequence[Device],
    registry: Mapping[str, Device],
    request: FleetRequest,
    stores: FleetStores,
) -> Generator[FleetEvent, None, None]:
    """Measure a request's cases, and yield every event after it is stored.

    If the caller closes the generator early, the processes on the devices are ended.
    """
    with open_fleet(devices, registry, request=request, stores=stores) as bench:
        if not request.artifacts:
            bench.add(())  # each device plans, even nothing: a dry run counts future cases, too
        yield from bench.finish()


def _read_addition(
    artifacts: Sequence[str], devices: Sequence[str], stores: FleetStores
) -> Addition:
    return Addition(
        tuple(artifacts),
        measured=stores.cases.get_first_measurements(devices, artifacts),
        pending=stores.cases.get_pending_processes(devices, artifacts),
        binary=stores.cases.filter_binary(artifacts),
    )


def _explain_end(lane: Lane, error: BaseException) -> DeviceSetAside:
    return DeviceSetAside(
        lane.device, to_failure(lane.device.id, error), cases_left=lane.cases_left
    )


def _pairs_of(cases: Sequence[Case]) -> list[tuple[str, Protocol]]:
    return [(case.artifact, case.protocol) for case in cases]


def _stop(lanes: Sequence[Lane]) -> None:
    """End the lanes that still run: all of them, even if one can't be reached."""
    for lane in lanes:
        lane.stop.set()
    running = [lane for lane in lanes if lane.is_running]
    with ExitStack() as ending:
        ending.callback(_join, running)
        for lane in running:
            ending.callback(lane.end)


def _join(lanes: Sequence[Lane]) -> None:
    deadline = time.monotonic() + _JOIN_TIMEOUT_S
    for lane in lanes:
        lane.join(max(0.0, deadline - time.monotonic()))
