"""Training and measuring at once: an artifact is measured as soon as its trial has ended."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.device import Device, LocalDevice, SshDevice
from harness.core.sweep import Trial
from harness.devices.addresses import find_board_addresses, find_own_addresses
from harness.fleet.events import FleetEvent
from harness.fleet.run import FleetBench
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

_LIVENESS_INTERVAL_S = 1.0


@dataclass(frozen=True)
class DeviceTrains:
    """A device trains, too, so that it is measured when training is over."""

    device: Device


PipelineEvent: TypeAlias = TrialEvent | FleetEvent | DeviceTrains


class Pipeline:
    """A sweep that is trained while its artifacts are measured on a fleet.

    All rows are written by the thread that reads the events of `run`.
    """

    def __init__(self, bench: FleetBench, devices: Sequence[Device]) -> None:
        self._bench = bench
        self._devices = devices
        self._twins = TwinGroups()
        self._added: list[str] = []
        self._later: Mapping[str, Device] = {}  # devices that train, by id

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
                    yield from self._start(artifacts, addresses)
                case PointStarted(trials=trials):
                    self._twins.expect(trials)
                case Quiet():
                    pass
                case _:
                    self._note_end(event)
                    yield event
            for group in self._twins.take(time.monotonic()):
                self._add(group)
            yield from self._receive_all()
        yield from self._measure_rest()

    def _start(
        self, artifacts: Sequence[str], node_addresses: frozenset[str]
    ) -> Iterator[DeviceTrains]:
        self._later = find_training_devices(self._devices, node_addresses)
        yield from map(DeviceTrains, self._later.values())
        if artifacts:
            self._add(artifacts)

    def _note_end(self, event: TrialEvent) -> None:
        match event:
            case Finished(trial=trial, outcome=outcome):
                hashes = [artifact.sha256 for artifact in outcome.artifacts]
                self._twins.end(trial, hashes, now_s=time.monotonic())
            case Failed(trial=trial) | Stopped(trial=trial):
                self._twins.end(trial, (), now_s=time.monotonic())

    def _add(self, artifacts: Sequence[str]) -> None:
        self._added += artifacts
        ids = [device.id for device in self._devices if device.id not in self._later]
        if ids:
            self._bench.add(artifacts, devices=ids)

    def _receive_all(self) -> Iterator[FleetEvent]:
        """Yield the fleet's events so far."""
        while (event := self._bench.receive(0.0)) is not None:
            yield event

    def _measure_rest(self) -> Iterator[FleetEvent]:
        for group in self._twins.take(float("inf")):
            self._add(group)
        if self._later:
            self._bench.add(self._added, devices=self._later)
        self._bench.close()
        while self._bench.running:
            if (event := self._bench.receive(_LIVENESS_INTERVAL_S)) is not None:
                yield event


def find_training_devices(
    devices: Iterable[Device], node_addresses: frozenset[str]
) -> dict[str, Device]:
    """Return the devices that are nodes of the Ray cluster in use, by id.

    This machine is one of them in any case, as it drives the training. `node_addresses` are those
    of the cluster's nodes.
    """
    addresses = node_addresses | find_own_addresses()
    return {
        device.id: device
        for device in devices
        if isinstance(device, LocalDevice)
        or (
            isinstance(device, SshDevice) and not addresses.isdisjoint(find_board_addresses(device))
        )
    }
