"""The last state of each device, the queue of what it is to measure, and why it was set aside."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from harness.core.bench import Protocol
from harness.core.device import Device
from harness.core.errors import CaseFailed
from harness.store.database import now, write_transaction
from harness.store.rows.cases import failure_row, protocol_id, unqueue
from harness.store.rows.values import insert_missing, make_storable, to_json
from harness.store.tables import devices, failures, queue

READY = "ready"
SET_ASIDE = "set aside"


class DeviceRows:
    """The state of each device, and the queue of what it is to measure."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark_ready(self, device: Device, facts: Mapping[str, str]) -> None:
        """Store that the device answered, with its facts."""
        values = {
            "state": READY,
            "message": "",
            "facts": to_json(dict(facts)),
            "seen_at": now(),
        }
        with write_transaction(self._engine) as connection:
            _update_device(connection, device, **values)

    def set_aside(self, device: Device, failure: CaseFailed) -> None:
        """Store that the device cannot be used now, and why; its queue stays."""
        with write_transaction(self._engine) as connection:
            _update_device(connection, device, state=SET_ASIDE, message=make_storable(str(failure)))
            connection.execute(insert(failures), [{"device": device.id, **failure_row(failure)}])

    def enqueue(self, requests: Mapping[str, Sequence[tuple[str, Protocol]]]) -> None:
        """Add pairs of artifact and protocol to the queue of each device."""
        rows = []
        for device, pairs in requests.items():
            rows += [_queue_columns(device, *pair) for pair in pairs]
        with write_transaction(self._engine) as connection:
            insert_missing(connection, queue, *rows)

    def dequeue(self, device: str, pairs: Sequence[tuple[str, Protocol]]) -> None:
        """Remove pairs of artifact and protocol that turned out to be measured."""
        finished = {(artifact, protocol_id(protocol)) for artifact, protocol in pairs}
        with write_transaction(self._engine) as connection:
            rows = connection.execute(select(queue).where(queue.c.device == device)).mappings()
            queued = {(row["artifact"], row["protocol_id"]) for row in rows}
            for artifact, protocol in sorted(queued & finished):
                unqueue(connection, device, artifact=artifact, protocol=protocol)


def _queue_columns(device: str, artifact: str, protocol: Protocol) -> dict[str, Any]:
    return {
        "device": device,
        "artifact": artifact,
        "protocol_id": protocol_id(protocol),
        "protocol": protocol.name,
        "threads": protocol.threads,
        "asked_at": now(),
    }


def _update_device(connection: Connection, device: Device, **values: str) -> None:
    values = {**values, "kind": device.kind, "changed_at": now()}
    insert_missing(connection, devices, {"id": device.id, "facts": "{}", **values})
    connection.execute(update(devices).where(devices.c.id == device.id).values(values))
