"""The trials that a process trains now, for others who look; they expire unless it renews them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, delete, insert, or_, select

from harness.store.database import write_transaction
from harness.store.rows.leases import identify_process, is_dead, read_clock
from harness.store.rows.trials import PLANNED
from harness.store.tables import running_trials, sweep_trials, trials


@dataclass(frozen=True)
class TrialProgress:
    """A trial in training, since `started_at` (ISO 8601, UTC).

    `epoch` is the last one that has ended, with its training loss; 0 before the first.
    """

    trial_id: str
    started_at: str
    epoch: int
    epochs: int
    loss: float | None = None


@dataclass(frozen=True)
class TrialInTraining:
    """The progress of a trial, with its words: model, parameters (JSON) and precision."""

    progress: TrialProgress
    model: str
    parameters: str
    precision: str


class RunningRows:
    """The trials in training; `seconds` is how long they are believed without being renewed."""

    def __init__(self, engine: Engine, seconds: float = 60.0) -> None:
        self._engine = engine
        self._seconds = seconds

    def replace(self, running: Iterable[TrialProgress]) -> None:
        """Store all trials that this process trains now, and delete those that have expired."""
        columns = running_trials.c
        with write_transaction(self._engine) as connection:
            clock = read_clock(connection)
            is_old = or_(columns.process == identify_process(), columns.expires < clock)
            connection.execute(delete(running_trials).where(is_old))
            claim = {"process": identify_process(), "expires": clock + self._seconds}
            if rows := [{**asdict(trial), **claim} for trial in running]:
                connection.execute(insert(running_trials), rows)

    def list_sweep(self, sweep: str) -> list[TrialInTraining]:
        """Return a sweep's trials in training by processes that live, the first begun first."""
        columns = running_trials.c
        query = (
            select(running_trials, trials.c.model, trials.c.parameters, trials.c.precision)
            .join(trials, trials.c.id == columns.trial_id)
            .join(sweep_trials, sweep_trials.c.trial_id == trials.c.id)
            .where(sweep_trials.c.sweep == sweep, trials.c.status == PLANNED)
            .order_by(columns.started_at, columns.trial_id)
        )
        with self._engine.connect() as connection:
            is_current = columns.expires >= read_clock(connection)
            rows = connection.execute(query.where(is_current)).all()
        return [
            TrialInTraining(
                TrialProgress(
                    row.trial_id, row.started_at, epoch=row.epoch, epochs=row.epochs, loss=row.loss
                ),
                row.model,
                parameters=row.parameters,
                precision=row.precision,
            )
            for row in rows
            if not is_dead(row.process)
        ]
