"""Latencies that papers and READMEs give."""

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
    """Published latencies, kept apart from all that was measured."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, latencies: Sequence[PublishedLatency]) -> int:
        """Store the latencies and return how many are new.

        Raises RequestError, and stores none, if one contradicts an earlier import.
        """
        with write_transaction(self._engine) as connection:
            return sum(_add(connection, latency) for latency in latencies)


def _add(connection: Connection, latency: PublishedLatency) -> bool:
    row = _to_columns(latency)
    same_key = [published.c[name] == row[name] for name in _KEY]
    stored = connection.execute(select(published).where(*same_key)).mappings().first()
    if stored is None:
        insert_missing(connection, published, {**row, "imported_at": now()})
        return True
    if column := next((name for name, value in row.items() if stored[name] != value), None):
        raise RequestError(
            f"{latency.model} on {latency.device} ({latency.source}, {latency.dated}): {column} is "
            f"{row[column]}, but {stored[column]} was imported before. Nothing was imported: "
            "give one of them another source or date."
        )
    return False


def _to_columns(latency: PublishedLatency) -> dict[str, Any]:
    return {
        "model": latency.model,
        "precision": latency.precision,
        "device": latency.device,
        "threads": latency.threads,
        "latency_us": latency.latency_ms * 1000,
        "accuracy": latency.accuracy,
        "size_bytes": latency.size_bytes,
        "source": latency.source,
        "dated": latency.dated.isoformat(),
    }
