"""What was last seen of each device, what waits for it, and why it was set aside."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from harness.core.bench import Protocol
from harness.core.device import Device
from harness.core.errors import CaseFailed
from harness.store.database import now, write_transaction
from harness.store.rows.cases import failure_row, protocol_id, unqueue
from harness.store.rows.values import insert_missing, replace_nul, to_json
from harness.store.tables import devices, failures, queue

READY = "ready"
SET_ASIDE = "set aside"


class DeviceRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark_ready(self, device: Device, facts: Mapping[str, str]) -> None:
        """The device answered."""
        with write_transaction(self._engine) as connection:
            _save(
                connection,
                device,
                state=READY,
                message="",
                facts=to_json(dict(facts)),
                seen_at=now(),
            )

    def set_aside(self, device: Device, failure: CaseFailed) -> None:
        """The device can't be used now; what waits for it goes on waiting."""
        with write_transaction(self._engine) as connection:
            _save(connection, device, state=SET_ASIDE, message=replace_nul(str(failure)))
            connection.execute(insert(failures), [{"device": device.id, **failure_row(failure)}])

    def enqueue(self, wanted: Mapping[str, Sequence[tuple[str, Protocol]]]) -> None:
        """Puts artifacts and protocols into the queue of each device."""
        with write_transaction(self._engine) as connection:
            rows = [_queued(device, *pair) for device, pairs in wanted.items() for pair in pairs]
            insert_missing(connection, queue, *rows)

    def dequeue(self, device: str, pairs: Sequence[tuple[str, Protocol]]) -> None:
        """Takes out what turned out to be done."""
        with write_transaction(self._engine) as connection:
            rows = connection.execute(select(queue).where(queue.c.device == device)).mappings()
            queued = {(row["artifact"], row["protocol_id"]) for row in rows}
            done = {(artifact, protocol_id(protocol)) for artifact, protocol in pairs}
            for artifact, protocol in queued & done:
                unqueue(connection, device, artifact=artifact, protocol=protocol)


def _queued(device: str, artifact: str, protocol: Protocol) -> dict[str, Any]:
    return {
        "device": device,
        "artifact": artifact,
        "protocol_id": protocol_id(protocol),
        "protocol": protocol.name,
        "threads": protocol.threads,
        "asked_at": now(),
    }


def _save(connection: Connection, device: Device, **values: str) -> None:
    values = {**values, "kind": device.kind, "changed_at": now()}
    insert_missing(connection, devices, {"id": device.id, "facts": "{}", **values})
    connection.execute(update(devices).where(devices.c.id == device.id).values(values))
