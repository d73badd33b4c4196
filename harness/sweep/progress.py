"""The progress of a training, stored from time to time so that other processes can show it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import inf

from harness.core.errors import DatabaseBusy
from harness.store.database import now
from harness.store.rows.running import RunningRows, TrialProgress
from harness.training.events import (
    EpochEnded,
    Failed,
    Finished,
    Retried,
    Started,
    Stopped,
    SweepEvent,
    TrialEvent,
)

STORE_S = 2.0
"""At most this often, changes are stored: a small trial has many epochs a second."""
RENEW_S = 20.0
"""This often, rows are stored although nothing has changed, before they expire."""


class StoredProgress:
    """The trials that this process trains now. `clock` counts seconds."""

    def __init__(self, rows: RunningRows, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows = rows
        self._clock = clock
        self._running: dict[str, TrialProgress] = {}
        self._is_changed = False
        self._stored_at_s = -inf

    def note(self, event: SweepEvent) -> None:
        """Take note of an event, whose trial has a row, and store the changes if it is time."""
        self._is_changed |= isinstance(event, TrialEvent)
        match event:
            case Started(trial=trial):
                epochs = trial.recipe.epochs
                self._running[trial.id] = TrialProgress(trial.id, now(), epoch=0, epochs=epochs)
            case EpochEnded(trial=trial, epoch=epoch) if trial.id in self._running:
                self._running[trial.id] = replace(
                    self._running[trial.id], epoch=epoch.number, loss=epoch.loss
                )
            case Finished() | Failed() | Stopped() | Retried():
                self._running.pop(event.trial.id, None)
        if self._is_due():
            self._store()

    def end(self) -> None:
        """Delete what was stored: nothing is trained any more."""
        self._running.clear()
        self._store()

    def _is_due(self) -> bool:
        pause_s = self._clock() - self._stored_at_s
        return (
            pause_s >= STORE_S if self._is_changed else bool(self._running and pause_s >= RENEW_S)
        )

    def _store(self) -> None:
        with suppress(DatabaseBusy):  # a training does not end for that: the rows expire
            self._rows.replace(self._running.values())
        self._stored_at_s, self._is_changed = self._clock(), False
