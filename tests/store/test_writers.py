"""Many writers at once: nothing is lost, doubled or left incomplete."""

import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from harness.store.database import open_database, write_transaction
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.rows.trials import TrialRows
from tests.store.examples import (
    EPOCHS,
    count_rows,
    make_outcome,
    make_sweep,
    make_trial,
    read_rows,
    run_processes,
    store_outcomes,
)

PROCESSES, TRIALS = 8, 20
HELD_S = 3.0
REPOSITORY = Path(__file__).parents[2]
TRIAL_ROWS = """
SELECT t.id, t.status, (SELECT count(*) FROM epochs WHERE trial_id = t.id) AS epochs,
       (SELECT artifact FROM trial_artifacts WHERE trial_id = t.id) AS artifact
FROM trials AS t
"""


@pytest.mark.full
def test_eight_processes_store_their_trials_at_once(sqlite_url: str) -> None:
    seeds = [list(range(start, start + TRIALS)) for start in range(0, PROCESSES * TRIALS, TRIALS)]
    engine = open_database(sqlite_url)
    TrialRows(engine).submit(
        make_sweep(*(make_trial(seed) for seed in chain.from_iterable(seeds))), again=[]
    )
    engine.dispose()
    assert (
        run_processes(store_outcomes, [(sqlite_url, share) for share in seeds]) == [0] * PROCESSES
    )
    rows = read_rows(sqlite_url, TRIAL_ROWS)
    assert {(row["status"], row["epochs"]) for row in rows} == {("done", EPOCHS)}
    assert len({row["artifact"] for row in rows}) == len(rows) == PROCESSES * TRIALS
    assert (
        count_rows(sqlite_url, "trial_artifacts")
        == count_rows(sqlite_url, "artifacts")
        == PROCESSES * TRIALS
    )


@pytest.mark.full
def test_processes_that_store_the_same_trials_at_once_double_nothing(url: str) -> None:
    seeds = list(range(TRIALS))
    engine = open_database(url)
    TrialRows(engine).submit(make_sweep(*map(make_trial, seeds)), again=[])
    engine.dispose()
    assert run_processes(store_outcomes, [(url, seeds)] * 3) == [0] * 3
    rows = read_rows(url, TRIAL_ROWS)
    assert {(row["status"], row["epochs"]) for row in rows} == {("done", EPOCHS)}
    assert (
        count_rows(url, "trials")
        == count_rows(url, "trial_artifacts")
        == count_rows(url, "artifacts")
        == TRIALS
    )


def test_a_writer_waits_for_a_lock_that_is_held_for_seconds(sqlite_url: str) -> None:
    engine, other = open_database(sqlite_url), open_database(sqlite_url)
    trial = make_trial()
    TrialRows(engine).submit(make_sweep(trial), again=[])
    locked, never = Event(), Event()

    def hold() -> None:
        with write_transaction(other) as connection:
            connection.execute(text("UPDATE trials SET node = 'held'"))
            locked.set()
            never.wait(HELD_S)

    holder = Thread(target=hold)
    holder.start()
    locked.wait()
    started = time.monotonic()
    TrialRows(engine).finish(make_outcome(trial))
    assert time.monotonic() - started > HELD_S - 0.5
    holder.join()
    assert [row["epochs"] for row in read_rows(sqlite_url, TRIAL_ROWS)] == [EPOCHS]
    assert read_rows(sqlite_url, "SELECT status, node FROM trials") == [
        {"status": "done", "node": "node-1"}
    ]
    engine.dispose()
    other.dispose()


@pytest.mark.full
def test_a_process_that_is_killed_leaves_only_complete_trials(
    sqlite_url: str, tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from tests.store.examples import store_until_killed; "
        "store_until_killed(sys.argv[1], Path(sys.argv[2]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, sqlite_url, str(tmp_path / "artifacts")],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        printed = [writer.stdout.readline().strip() for _ in range(25)]
        writer.kill()
        printed += writer.stdout.read().split()
    files = ArtifactFiles(tmp_path / "artifacts")
    rows = {row["id"]: row for row in read_rows(sqlite_url, TRIAL_ROWS)}
    assert set(printed) <= rows.keys()
    for row in rows.values():
        if row["id"] in printed or row["status"] == "done":
            assert (row["status"], row["epochs"]) == ("done", EPOCHS)
            assert files.state(row["artifact"]) is FileState.INTACT
        else:
            assert (row["status"], row["epochs"], row["artifact"]) == ("planned", 0, None)
    assert len(rows) <= len(printed) + 2
    open_database(sqlite_url).dispose()
    assert read_rows(sqlite_url, "PRAGMA table_info(trials)")
    assert count_rows(sqlite_url, "sweep_trials") == len(rows)
