"""Training and measuring at once: an artifact is measured as soon as its trial has ended."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.device import Device
from harness.core.sweep import Trial
from harness.fleet.events import FleetEvent
from harness.fleet.run import FleetBench
from harness.pipeline.device_search import DeviceSearch
from harness.pipeline.order import ArtifactsOrdered, Order, find_training_devices
from harness.pipeline.search_events import SearchEvent
from harness.pipeline.search_setup import SearchDevices
from harness.pipeline.twins import TwinGroups
from harness.training.events import (
    ClusterReady,
    Failed,
    Finished,
    PointStarted,
    Quiet,
    Stopped,
    SweepEvent,
    TrialEvent,
)

_PATIENCE_S = 0.2


@dataclass(frozen=True)
class DeviceTrains:
    """A device trains, too, so that it is measured when training is over."""

    device: Device


PipelineEvent: TypeAlias = TrialEvent | FleetEvent | DeviceTrains | ArtifactsOrdered | SearchEvent


@dataclass(frozen=True)
class HearingSearch:
    """A search that hears devices, and the devices that it asks."""

    search: DeviceSearch
    devices: SearchDevices


class Pipeline:
    """A sweep that is trained while its artifacts are measured on a fleet.

    All rows are written by the thread that reads the events of `run`. A `hearing` search gets what
    the devices say, and decides what is trained.
    """

    def __init__(
        self,
        bench: FleetBench,
        devices: Sequence[Device],
        hearing: HearingSearch | None = None,
    ) -> None:
        self._bench = bench
        self._devices = devices
        self._hearing = hearing
        self._order = Order(bench, devices)
        self._twins = TwinGroups()

    def run(
        self, training: Iterable[SweepEvent], artifacts: Sequence[str], planned: Sequence[Trial]
    ) -> Iterator[PipelineEvent]:
        """Yield the events of both halves, each after it is stored, until both have ended.

        `artifacts` are those that the sweep has already, and `planned` are its trials that are
        known from the start.
        """
        self._twins.expect(planned)
        for event in training:
            match event:
                case ClusterReady(addresses=addresses):
                    yield from self._hold(addresses)
                    if artifacts:
                        self._order.add(artifacts)
                        yield ArtifactsOrdered(tuple(artifacts), waiting=0)
                case PointStarted(trials=trials):
                    self._twins.expect(trials)
                case Quiet():
                    pass
                case _:
                    self._note_end(event)
                    yield event
            yield from self._order.add_due(self._twins, time.monotonic())
            while (fleet_event := self._bench.receive(0.0)) is not None:
                yield from self._hear(fleet_event)
            yield from self._advance()
        yield from self._order.add_due(self._twins, float("inf"))
        if self._hearing is not None:
            self._hearing.search.close()
        for fleet_event in self._order.finish():
            yield from self._hear(fleet_event)
            yield from self._advance()

    def _hear(self, event: FleetEvent) -> Iterator[FleetEvent]:
        if self._hearing is not None:
            self._hearing.search.note_fleet(event)
        yield event

    def _advance(self) -> Iterator[SearchEvent | Failed]:
        if self._hearing is not None:
            yield from self._hearing.search.advance()

    def _hold(self, node_addresses: frozenset[str]) -> Iterator[DeviceTrains]:
        if self._hearing is not None:
            self._hearing.devices.refuse_training(node_addresses)
        training = find_training_devices(self._devices, node_addresses)
        self._order.hold(training)
        yield from map(DeviceTrains, training.values())

    def _note_end(self, event: TrialEvent) -> None:
        match event:
            case Finished(trial=trial, outcome=outcome):
                hashes = [artifact.sha256 for artifact in outcome.artifacts]
                self._twins.end(trial, hashes, now_s=time.monotonic())
            case Failed(trial=trial) | Stopped(trial=trial):
                self._twins.end(trial, (), now_s=time.monotonic())


def measure_points(
    search: DeviceSearch, bench: FleetBench
) -> Iterator[FleetEvent | SearchEvent | Failed]:
    """Measure the untrained networks of a search's points, and yield the events; train none."""
    while not search.is_exhausted:
        yield from search.advance()
        while search.take() is not None:
            pass  # it is feasible, which is all that is asked
        if (event := bench.receive(_PATIENCE_S)) is not None:
            search.note_fleet(event)
            yield event
    yield from bench.finish()
