"""Trials in training, as another process reads them, on both databases."""

from sqlalchemy import Engine, update

from harness.store.rows.running import RunningRows, TrialProgress
from harness.store.rows.trials import TrialRows
from harness.store.tables import running_trials
from tests.store.examples import make_outcome, make_sweep, make_trial

FIRST, SECOND = make_trial(1), make_trial(2)
MORNING, NOON = "2026-11-27T09:00:00.000Z", "2026-11-27T12:00:00.000Z"
EARLY = TrialProgress(SECOND.id, MORNING, epoch=3, epochs=5, loss=0.25)
LATE = TrialProgress(FIRST.id, NOON, epoch=0, epochs=5)


def submit(engine: Engine) -> RunningRows:
    TrialRows(engine).submit(make_sweep(FIRST, SECOND, name="both"), again=[])
    return RunningRows(engine)


def list_progress(rows: RunningRows, sweep: str = "both") -> list[TrialProgress]:
    return [trial.progress for trial in rows.list_sweep(sweep)]


def test_trials_in_training_are_those_that_were_stored_last(engine: Engine) -> None:
    rows = submit(engine)
    rows.replace([LATE, EARLY])
    assert list_progress(rows) == [EARLY, LATE], "the first begun comes first"
    assert list_progress(rows, "another") == []
    (trial, _) = rows.list_sweep("both")
    assert (trial.model, trial.precision) == (SECOND.architecture, SECOND.precision.value)
    rows.replace([LATE])
    assert list_progress(rows) == [LATE]
    rows.replace([])
    assert list_progress(rows) == []


def test_a_trial_that_has_ended_is_not_in_training(engine: Engine) -> None:
    rows = submit(engine)
    rows.replace([EARLY, LATE])
    TrialRows(engine).finish(make_outcome(SECOND))
    assert list_progress(rows) == [LATE]


def test_what_a_dead_process_or_one_that_is_silent_stored_does_not_count(engine: Engine) -> None:
    rows = submit(engine)
    RunningRows(engine, seconds=-1.0).replace([EARLY])
    assert list_progress(rows) == []
    rows.replace([EARLY])
    with engine.begin() as connection:
        dead = running_trials.c.process + "0"  # another start time
        connection.execute(update(running_trials).values(process=dead))
    assert list_progress(rows) == []


def test_the_rows_of_a_silent_process_are_deleted_by_the_next(engine: Engine) -> None:
    rows = submit(engine)
    RunningRows(engine, seconds=-1.0).replace([EARLY])
    with engine.begin() as connection:
        connection.execute(update(running_trials).values(process="another"))
    rows.replace([LATE])
    with engine.connect() as connection:
        assert [row.trial_id for row in connection.execute(running_trials.select())] == [FIRST.id]
