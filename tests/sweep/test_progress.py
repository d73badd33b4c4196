"""The progress of a training is stored, but not at each of many epochs."""

from collections.abc import Iterable
from dataclasses import replace

from harness.core.errors import Reason
from harness.core.sweep import Failure
from harness.store.rows.running import RunningRows, TrialProgress
from harness.sweep.progress import RENEW_S, STORE_S, StoredProgress
from harness.training.events import EpochEnded, Finished, PointStarted, Quiet, Retried, Started
from tests.store.examples import make_outcome, make_trial

FIRST, SECOND = make_trial(1), make_trial(2)
(EPOCH,) = make_outcome(FIRST, epochs=1).curve


class KeptRows(RunningRows):
    """Rows that remember each of their states."""

    def __init__(self) -> None:
        self.states: list[list[TrialProgress]] = []

    def replace(self, running: Iterable[TrialProgress]) -> None:
        self.states.append(list(running))

    @property
    def epochs(self) -> dict[str, int]:
        return {trial.trial_id: trial.epoch for trial in self.states[-1]}


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def __call__(self) -> float:
        return self.time_s


def test_trials_are_stored_at_once_and_their_epochs_from_time_to_time() -> None:
    rows, clock = KeptRows(), Watch()
    progress = StoredProgress(rows, clock)
    progress.note(PointStarted({}, (FIRST, SECOND)))
    assert rows.states == []
    progress.note(Started(FIRST, "node", pid=1))
    assert rows.epochs == {FIRST.id: 0}
    progress.note(Started(SECOND, "node", pid=2))
    for number in range(1, 100):
        progress.note(EpochEnded(FIRST, replace(EPOCH, number=number)))
    assert len(rows.states) == 1
    clock.time_s += STORE_S
    progress.note(Quiet())
    assert rows.epochs == {FIRST.id: 99, SECOND.id: 0}
    assert rows.states[-1][0].loss == EPOCH.loss
    clock.time_s += STORE_S
    progress.note(Quiet())
    assert len(rows.states) == 2, "nothing has changed"
    clock.time_s += RENEW_S
    progress.note(Quiet())
    assert len(rows.states) == 3, "before they expire"


def test_what_is_not_trained_any_more_is_deleted() -> None:
    rows, clock = KeptRows(), Watch()
    progress = StoredProgress(rows, clock)
    progress.note(Started(FIRST, "node", pid=1))
    progress.note(Started(SECOND, "node", pid=2))
    progress.note(Finished(FIRST, make_outcome(FIRST)))
    progress.note(Retried(SECOND, Failure(Reason.KILLED, "Something killed it.")))
    clock.time_s += STORE_S
    progress.note(EpochEnded(SECOND, EPOCH))
    assert rows.epochs == {}
    clock.time_s += RENEW_S
    progress.note(Quiet())
    assert len(rows.states) == 2, "nothing has to be renewed"
    progress.note(Started(SECOND, "node", pid=2))
    assert rows.epochs == {SECOND.id: 0}
    progress.end()
    assert rows.epochs == {}
