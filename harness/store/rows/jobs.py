"""Sweeps that run as jobs of a Ray cluster, each with the last state that is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, Select, delete, insert, select, update

from harness.store.database import now, write_transaction
from harness.store.rows.values import make_storable
from harness.store.tables import jobs

PENDING, RUNNING, DONE, FAILED, STOPPED, LOST = (
    "pending",
    "running",
    "done",
    "failed",
    "stopped",
    "lost",
)
ACTIVE = (PENDING, RUNNING)


@dataclass(frozen=True)
class JobRow:
    """A job of the Ray cluster on the machine `node`, whose jobs server has the URL `server`."""

    id: str
    sweep: str
    file: str
    node: str
    server: str
    submitted_at: str
    state: str = PENDING
    message: str = ""
    ended_at: str | None = None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class JobRows:
    """Jobs by Ray's submission id. A job that is over keeps its state, whoever reports another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, job: JobRow) -> None:
        with write_transaction(self._engine) as connection:
            connection.execute(insert(jobs), [asdict(job)])

    def delete(self, job_id: str) -> None:
        """Delete a job that Ray did not start."""
        with write_transaction(self._engine) as connection:
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def update_state(self, job_id: str, state: str, message: str = "") -> None:
        """Store the state, unless the job is over. A lost job may still turn out to have ended."""
        values = {
            "state": state,
            "message": make_storable(message),
            "ended_at": None if state in ACTIVE else now(),
        }
        is_open = (jobs.c.id == job_id) & jobs.c.state.in_((*ACTIVE, LOST))
        with write_transaction(self._engine) as connection:
            connection.execute(update(jobs).where(is_open).values(**values))

    def get(self, job_id: str) -> JobRow | None:
        return next(iter(self._select(select(jobs).where(jobs.c.id == job_id))), None)

    def list_active(self) -> Sequence[JobRow]:
        """Return the jobs that are pending or running as far as is known, newest first."""
        return self._select(_newest_first().where(jobs.c.state.in_(ACTIVE)))

    def list_latest(self, count: int) -> Sequence[JobRow]:
        """Return the newest jobs, newest first."""
        return self._select(_newest_first().limit(count))

    def _select(self, query: "Select[tuple[object, ...]]") -> Sequence[JobRow]:
        with self._engine.connect() as connection:
            return [JobRow(**row) for row in connection.execute(query).mappings()]


def _newest_first() -> "Select[tuple[object, ...]]":
    return select(jobs).order_by(jobs.c.submitted_at.desc(), jobs.c.id)
