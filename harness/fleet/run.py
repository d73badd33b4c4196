"""A bench of all devices at once, with a lane for each; only one thread writes rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from threading import Event

from harness.core.bench import Case, Protocol
from harness.core.device import Device
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
from harness.fleet.lane import BenchSnapshot, Lane
from harness.fleet.lease_keeper import LeaseKeeper
from harness.fleet.plan import FleetRequest
from harness.store.files.artifacts import ArtifactFiles
from harness.store.files.tools import ToolFile
from harness.store.files.workspace import Workspace
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.leases import Leases
from harness.store.rows.observations import ObservationRows

_JOIN_TIMEOUT_S = 15.0


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
) -> Iterator[FleetEvent]:
    """Measure a request's cases, and yield every event after it is stored.

    If the caller stops early, the processes on the devices are ended.
    """
    ids = [device.id for device in devices]
    snapshot = BenchSnapshot(
        stores.cases.get_measured_ids(ids),
        stores.cases.get_pending_processes(ids),
        file=cache(stores.files.verify),
        identity=stores.leases.get_database_id(),
        tools=stores.tools,
        workspace=stores.workspace,
        canaries=stores.observations.list_canaries(ids),
        kernels=stores.observations.get_kernel_verdicts(ids),
        answers=stores.observations.get_answers(ids),
        references=ReferenceAnswers(stores.files),
        binary=stores.cases.filter_binary(request.artifacts),
    )
    events: SimpleQueue[FleetEvent] = SimpleQueue()
    stop = Event()
    with LeaseKeeper(stores.leases, stop) as keeper:
        lanes = [
            Lane(
                device,
                registry,
                request=request,
                snapshot=snapshot,
                keeper=keeper,
                emit=events.put,
                stop=stop,
            )
            for device in devices
        ]
        try:
            for lane in lanes:
                lane.start()
            running = len(lanes)
            while running:
                event = events.get()
                if not request.dry_run:
                    _store(event, request, stores=stores)
                running -= isinstance(event, LaneEnded)
                yield event
        finally:
            _stop(lanes, stop)


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
            stores.cases.fail(event.case, event.device.kind, event.failure)
        case DeviceSetAside():
            stores.devices.set_aside(event.device, event.failure)
            if event.cases_left is None:
                stores.devices.enqueue({event.device.id: request.list_pairs(event.device.id)})


def _pairs_of(cases: Sequence[Case]) -> list[tuple[str, Protocol]]:
    return [(case.artifact, case.protocol) for case in cases]


def _stop(lanes: Sequence[Lane], stop: Event) -> None:
    stop.set()
    for lane in lanes:
        lane.end()
    for lane in lanes:
        lane.thread.join(_JOIN_TIMEOUT_S)
