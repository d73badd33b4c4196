"""A workspace with a tool and two models, and devices on this machine that bench them."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from harness.cli.actions.bench import make_fleet_stores
from harness.cli.actions.session import Session
from harness.conversion.anatomy import read_anatomy
from harness.core.bench import Gates, Protocol
from harness.core.device import Device, LocalDevice
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact
from harness.fleet.events import FleetEvent, LaneEnded, LaneIdle
from harness.fleet.plan import FleetRequest
from harness.fleet.run import FleetBench, bench_fleet, open_fleet
from harness.store.files.workspace import Workspace
from tests import tools
from tests.waiting import wait_until

MODELS = [
    (Path(__file__).parents[1] / "data" / "models" / f"{name}.tflite").read_bytes()
    for name in ("binary_64", "float_64")
]
PLAIN = Protocol("plain", processes=1)
THOROUGH = replace(
    PLAIN,
    order="interleaved",
    canary=True,
    answers=True,
    gates=Gates(max_wait_s=0, max_busy=1),
)


@dataclass(frozen=True)
class Shelf:
    """A workspace with a tool and two models, and any number of devices on this machine."""

    folder: Path
    artifacts: tuple[str, ...]

    @classmethod
    def make(cls, folder: Path) -> "Shelf":
        shelf = cls(folder, tuple(map(sha256_of, MODELS)))
        with shelf.open_session() as session:
            session.tools.add("tool", tools.write_script(folder / "tool").read_bytes())
            for id, content in zip(shelf.artifacts, MODELS, strict=True):
                session.files.save(content)
                artifact = Artifact(
                    id, "tflite", size_bytes=len(content), anatomy=read_anatomy(content)
                )
                session.trials.add_artifact(artifact, id)
        return shelf

    def copy(self, folder: Path) -> "Shelf":
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def bench(self, ids: Sequence[str], protocol: Protocol) -> list[FleetEvent]:
        """Return the events of a bench; one with a thorough protocol profiles, too."""
        devices = self.make_devices(ids)
        registry = {device.id: device for device in devices}
        request = replace(make_request(ids, protocol), artifacts=self.artifacts)
        with self.open_session() as session:
            stores = make_fleet_stores(session)
            with closing(bench_fleet(devices, registry, request=request, stores=stores)) as events:
                return list(events)

    def bench_one_by_one(self, ids: Sequence[str], protocol: Protocol) -> list[FleetEvent]:
        """Return the events of a bench whose artifacts come when the lanes wait for them."""
        with self.open(make_request(ids, protocol)) as bench:
            events = []
            for artifact in self.artifacts:
                events += receive_until_idle(bench)
                bench.add([artifact])
            return events + receive_all(bench)

    @contextmanager
    def open(
        self, request: FleetRequest, devices: Sequence[Device] | None = None
    ) -> Iterator[FleetBench]:
        """Open a fleet of these devices, or of devices on this machine."""
        devices = devices or self.make_devices(list(request.protocols))
        registry = {device.id: device for device in devices}
        with self.open_session() as session:
            stores = make_fleet_stores(session)
            with open_fleet(devices, registry, request=request, stores=stores) as bench:
                yield bench

    def make_devices(self, ids: Sequence[str]) -> list[LocalDevice]:
        return [
            LocalDevice(id=id, tool="tool", folder=str(self.folder / "devices" / id)) for id in ids
        ]

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        session = Session(Workspace(self.folder / "workspace"))
        try:
            yield session
        finally:
            session.engine.dispose()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self.open_session() as session, session.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql)).mappings()]

    def count_measured(self) -> dict[str, int]:
        """Return how many cases of each device have a measurement."""
        rows = self.rows(
            "SELECT device, count(DISTINCT case_id) AS n"
            " FROM cases JOIN measurements ON case_id = cases.id GROUP BY device"
        )
        return {row["device"]: row["n"] for row in rows}


def make_request(ids: Sequence[str], protocol: Protocol) -> FleetRequest:
    is_thorough = protocol is THOROUGH
    return FleetRequest(
        (), dict.fromkeys(ids, (protocol,)), profile=is_thorough, uses_reference=is_thorough
    )


def receive_until_idle(bench: FleetBench) -> list[FleetEvent]:
    """Return the events until each running lane of the bench is idle."""
    events: list[FleetEvent] = []
    idle: set[str] = set()

    def receive() -> bool:
        event = bench.receive(timeout_s=0.1)
        if event is not None:
            events.append(event)
        if isinstance(event, (LaneIdle, LaneEnded)):
            idle.add(event.device.id)
        return idle >= bench.running

    wait_until(receive, "each lane has ended or is idle")
    return events


def receive_all(bench: FleetBench) -> list[FleetEvent]:
    """Close the order, and return the events to the end."""
    return list(bench.finish())
