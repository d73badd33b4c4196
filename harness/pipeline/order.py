"""The artifacts that a fleet is to measure, at once or when training is over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core.device import Device, LocalDevice, SshDevice
from harness.devices.addresses import find_board_addresses, find_own_addresses
from harness.fleet.events import FleetEvent
from harness.fleet.run import FleetBench
from harness.pipeline.twins import TwinGroups


@dataclass(frozen=True)
class ArtifactsOrdered:
    """Artifacts were ordered, and `waiting` others wait for their twins."""

    artifacts: tuple[str, ...]
    waiting: int


class Order:
    """The order of a bench, to which a training adds artifacts.

    The devices that train get it when training is over, so that neither disturbs the other.
    """

    def __init__(self, bench: FleetBench, devices: Sequence[Device]) -> None:
        self._bench = bench
        self._ids = [device.id for device in devices]
        self._training: Mapping[str, Device] = {}
        self._artifacts: list[str] = []
        self._waiting = 0

    def hold(self, training: Mapping[str, Device]) -> None:
        """Let these devices, by id, wait until training is over."""
        self._training = training

    def add(self, artifacts: Sequence[str]) -> None:
        """Have twins measured, together where they fit into one batch."""
        self._artifacts += artifacts
        if ids := [id for id in self._ids if id not in self._training]:
            self._bench.add(artifacts, devices=ids)

    def add_due(self, twins: TwinGroups, now_s: float) -> Iterator[ArtifactsOrdered]:
        """Have the artifacts measured that have waited for their twins; yield what changed."""
        artifacts: list[str] = []
        for group in twins.take(now_s):
            self.add(group)
            artifacts += group
        if artifacts or twins.count_waiting() != self._waiting:
            self._waiting = twins.count_waiting()
            yield ArtifactsOrdered(tuple(artifacts), self._waiting)

    def finish(self) -> Iterator[FleetEvent]:
        """Have the rest measured, as training is over, and yield the fleet's last events."""
        if self._training and self._artifacts:
            self._bench.add(self._artifacts, devices=self._training)
        yield from self._bench.finish()


def find_training_devices(
    devices: Iterable[Device], node_addresses: frozenset[str] = frozenset()
) -> dict[str, Device]:
    """Return the devices that train, by id: this machine, and nodes of the Ray cluster in use.

    This machine is one of them in any case, as it drives the training. `node_addresses` are those
    of the cluster's nodes.
    """
    addresses = node_addresses | find_own_addresses()
    return {device.id: device for device in devices if _is_at(device, addresses)}


def _is_at(device: Device, addresses: frozenset[str]) -> bool:
    match device:
        case LocalDevice():
            return True
        case SshDevice():
            return not addresses.isdisjoint(find_board_addresses(device))
        case _:
            return False
