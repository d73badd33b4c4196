"""Published numbers, as rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from harness.core.errors import RequestError
from harness.core.published import PublishedLatency
from harness.store.database import now, write_transaction
from harness.store.rows.values import insert_missing
from harness.store.tables import published

_KEY = ("model", "precision", "device", "threads", "source", "dated")


class PublishedRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, numbers: Sequence[PublishedLatency]) -> int:
        """How many of them are new. Raises RequestError, and adds none, where one was another number before."""
        with write_transaction(self._engine) as connection:
            return sum(_add(connection, number) for number in numbers)


def _add(connection: Connection, number: PublishedLatency) -> bool:
    row = _row(number)
    same = [published.c[name] == row[name] for name in _KEY]
    known = connection.execute(select(published).where(*same)).mappings().first()
    if known is None:
        insert_missing(connection, published, {**row, "imported_at": now()})
        return True
    if other := next((name for name, value in row.items() if known[name] != value), None):
        raise RequestError(
            f"{number.model} on {number.device}, {number.source}, {number.dated}: {other} is {row[other]} now, and was "
            f"{known[other]}; nothing was imported: give one of them a source or date of its own."
        )
    return False


def _row(number: PublishedLatency) -> dict[str, Any]:
    return {
        "model": number.model,
        "precision": number.precision,
        "device": number.device,
        "threads": number.threads,
        "latency_us": number.latency_ms * 1000,
        "accuracy": number.accuracy,
        "size_bytes": number.size_bytes,
        "source": number.source,
        "dated": number.dated.isoformat(),
    }
