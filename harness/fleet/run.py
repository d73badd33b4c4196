"""A bench of all devices at once, with a lane for each; only one thread writes rows."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
    DeviceSetAside,
    FleetEvent,
    LaneEnded,
    RunEnded,
)
from harness.fleet.failures import to_failure
from harness.fleet.lane import BenchSnapshot, Lane
from harness.fleet.lease_keeper import LeaseKeeper
from harness.fleet.plan import FleetRequest
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


def bench_fleet(
    devices: Sequence[Device],
    registry: Mapping[str, Device],
    request: FleetRequest,
    stores: FleetStores,
) -> Generator[FleetEvent, None, None]:
    """Measure a request's cases, and yield every event after it is stored.

    Each device's last event is LaneEnded, whatever happened to its lane. If the caller closes the
    generator early, the processes on the devices are ended.
    """
    ids = [device.id for device in devices]
    snapshot = BenchSnapshot(
        stores.cases.get_measured_ids(ids),
        stores.cases.get_pending_processes(ids),
        file=cache(stores.files.verify),
        find_values=cache(stores.files.find_values),
        turn=Turn(stores.leases.get_database_id(), describe_owner()),
        tools=stores.tools,
        workspace=stores.workspace,
        canaries=stores.observations.list_canaries(ids),
        kernels=stores.observations.get_kernel_verdicts(ids),
        answers=stores.observations.get_answers(ids),
        references=ReferenceAnswers(stores.files),
        binary=stores.cases.filter_binary(request.artifacts),
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
        try:
            for lane in lanes:
                lane.start()
            received = _receive(events, lanes)
            if not request.dry_run:
                received = _store_all(received, lanes, request=request, stores=stores)
            yield from received
        finally:
            _stop(lanes)


def _receive(events: SimpleQueue[FleetEvent], lanes: Sequence[Lane]) -> Iterator[FleetEvent]:
    """Yield the lanes' events until each lane has ended, even one that could not report its end."""
    running = {lane.device.id: lane for lane in lanes}
    while running:
        # All events of a lane that has ended precede a moment when no event comes.
        ended = [lane for lane in running.values() if not lane.is_running]
        try:
            event = events.get(timeout=_LIVENESS_INTERVAL_S)
        except Empty:
            for lane in ended:
                del running[lane.device.id]
                yield _set_aside(lane, lane.error or RuntimeError("its thread has ended"))
                yield LaneEnded(lane.device, pushed_bytes=0)
            continue
        if isinstance(event, LaneEnded):
            del running[event.device.id]
        yield event


def _set_aside(lane: Lane, error: BaseException) -> DeviceSetAside:
    return DeviceSetAside(
        lane.device, to_failure(lane.device.id, error), cases_left=lane.cases_left
    )


def _store_all(
    events: Iterator[FleetEvent],
    lanes: Sequence[Lane],
    request: FleetRequest,
    stores: FleetStores,
) -> Iterator[FleetEvent]:
    """Store each event and yield it; a lane with an event that can't be stored ends.

    Raises HarnessError if the database can't be written to: then no lane can go on.
    """
    lane_by_device = {lane.device.id: lane for lane in lanes}
    ending: set[str] = set()
    for event in events:
        id = event.device.id
        if id in ending and not isinstance(event, LaneEnded):
            continue
        try:
            _store(event, request, stores=stores)
            stored = event
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - stored as a bug, with its traceback
            ending.add(id)
            lane_by_device[id].end()
            stored = _set_aside(lane_by_device[id], error)
            _store(stored, request, stores=stores)
        yield stored


def _store(event: FleetEvent, request: FleetRequest, stores: FleetStores) -> None:
    match event:
        case DevicePlanned(device=device):
            stores.devices.mark_ready(device, event.facts)
            stores.cases.plan(event.to_measure, device.kind)
            if request.force:
                stores.cases.drop_pending_runs(event.to_measure)
            stores.devices.enqueue({device.id: _pairs_of(event.to_measure)})
            stores.devices.dequeue(device.id, _pairs_of(event.measured))
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
        case DeviceSetAside():
            stores.devices.set_aside(event.device, event.failure)
            if event.cases_left is None:
                stores.devices.enqueue({event.device.id: request.list_pairs(event.device.id)})


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
