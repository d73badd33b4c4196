"""The contract that `harness.store.rows` states for all its classes, on both databases."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import count
from threading import Barrier
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from harness.core.bench import PROTOCOLS, Process
from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, DatabaseBusy, Reason
from harness.core.observations import (
    AnswerCheck,
    Batch,
    Canary,
    Kernels,
    KernelVerdict,
    OperatorTime,
    Role,
)
from harness.core.published import PublishedLatency
from harness.core.sweep import Failure, Precision
from harness.store.database import open_database, write_transaction
from harness.store.reading import read_results
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.history import History
from harness.store.rows.jobs import DONE, JobRow, JobRows
from harness.store.rows.leases import Leases
from harness.store.rows.observations import ObservationRows
from harness.store.rows.published import PublishedRows
from harness.store.rows.running import RunningRows, TrialProgress
from harness.store.rows.trials import TrialRows
from tests.store.examples import (
    TOOL,
    fill,
    make_artifact,
    make_case,
    make_measurement,
    make_outcome,
    make_sweep,
    make_trial,
    read_everything,
    store_trial,
)

T = TypeVar("T")
THREADS, ROUNDS = 8, 5
PI4 = LocalDevice(id="pi4")
SHELF = LocalDevice(id="shelf")
PLANNED, FAILED = make_trial(seed=9), make_trial(seed=7)
ARTIFACT = make_outcome(make_trial()).artifacts[0].sha256
FLOAT_ARTIFACT = make_outcome(make_trial(precision=Precision.FLOAT32)).artifacts[0].sha256
CASE, PENDING_CASE = make_case(ARTIFACT), make_case(FLOAT_ARTIFACT, device="shelf")
PROCESS = Process(
    1, "2026-01-01T00:00:00.000Z", seconds=0.5, exit_code=0, stdout="", stderr="",
    artifact_sha256=ARTIFACT,
)  # fmt: skip
TIMEOUT = CaseFailed(Reason.TIMEOUT, "It took too long.", log="log")
DIVERGED = Failure(Reason.DIVERGED, "The loss became nan.", log="log")
JOB = JobRow(
    "a job", "study", file="study.yaml", node="head", server="http://head:8265",
    submitted_at="2026-01-01T00:00:00.000Z",
)  # fmt: skip
LATENCY = PublishedLatency(
    "QuickNet", "binary", device="Pixel 1", threads=4, latency_ms=12.6, source="a paper",
    dated=date(2021, 6, 11),
)  # fmt: skip
BATCH = Batch(
    "another", "pi4", started_at="2026-01-01T00:00:00.000Z", ordering="sequential", cases=1
)
CANARY = Canary(
    "another", "pi4", moment="before", measured_at="2026-01-01T00:00:00.000Z", artifact=ARTIFACT,
    tool=TOOL, cpus=(), latency_us=99.0, temperature_c=None, frequency_khz=None,
)  # fmt: skip
KERNELS = Kernels(
    "here", TOOL, ratio=1.0, ratio_low=0.9, ratio_high=1.1, verdict=KernelVerdict.REFERENCE,
    message="", checked_at="2026-01-01T00:00:00.000Z",
)  # fmt: skip
OPERATOR = OperatorTime(
    0, "LceBconv2d", name="conv_1", avg_us=60.0, share=0.6, calls=1, role=Role.BINARY_CONVOLUTION
)
ANSWER = AnswerCheck(
    ARTIFACT, "pi4", tool=TOOL, images=8, largest_difference=None, classes_agree=True, message="",
    checked_at="2026-01-01T00:00:00.000Z",
)  # fmt: skip


class InterruptedWrite(Exception):
    """A stand-in for anything that interrupts a write."""


def run_at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Start all calls at the same moment, each in a thread, and return what they return."""
    barrier = Barrier(len(calls))

    def start(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


@contextmanager
def interrupted_at(engine: Engine, number: int) -> Iterator[None]:
    """Raise InterruptedWrite before the statement of this number, not counting `BEGIN`."""
    numbers = count(1)

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN") and next(numbers) == number:
            raise InterruptedWrite

    event.listen(engine, "before_cursor_execute", interrupt)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", interrupt)


def correct_first(engine: Engine) -> None:
    history = History(engine)
    stored = next(history.iter_measurements())
    measurement = make_measurement(stored.case, 50.0)
    assert history.correct(stored, measurement.runs, summary=measurement.summary)


def withdraw_first(engine: Engine) -> None:
    history = History(engine)
    history.withdraw(next(history.iter_measurements()), TIMEOUT)


WRITES: dict[str, Callable[[Engine], object]] = {
    "plan cases": lambda engine: CaseRows(engine).plan(
        [make_case(ARTIFACT, device) for device in ("pi4", "pi5")], "ssh"
    ),
    "add a pending run": lambda engine: CaseRows(engine).add_pending_run(CASE, PROCESS),
    "replace a pending run": lambda engine: CaseRows(engine).add_pending_run(PENDING_CASE, PROCESS),
    "drop pending runs": lambda engine: CaseRows(engine).drop_pending_runs([PENDING_CASE]),
    "finish a case": lambda engine: CaseRows(engine).finish(
        "local", make_measurement(PENDING_CASE)
    ),
    "fail a case": lambda engine: CaseRows(engine).fail(PENDING_CASE, "local", failure=TIMEOUT),
    "submit a sweep": lambda engine: TrialRows(engine).submit(
        make_sweep(make_trial(8), PLANNED), again=[FAILED]
    ),
    "submit a point": lambda engine: TrialRows(engine).submit_point(
        "study", {"model.units": 64}, sampled=[PLANNED]
    ),
    "stop a trial": lambda engine: TrialRows(engine).stop(FAILED.id, DIVERGED),
    "finish a trial": lambda engine: TrialRows(engine).finish(make_outcome(FAILED, epochs=2)),
    "finish a trial again": lambda engine: TrialRows(engine).finish(
        make_outcome(make_trial(), b"other bytes", epochs=2)
    ),
    "fail a trial": lambda engine: TrialRows(engine).fail(FAILED.id, DIVERGED),
    "add an artifact": lambda engine: TrialRows(engine).add_artifact(
        make_artifact(b"own", accuracy=None, agreement=None), "own.tflite"
    ),
    "mark a device as ready": lambda engine: DeviceRows(engine).mark_ready(PI4, {}),
    "set a device aside": lambda engine: DeviceRows(engine).set_aside(PI4, TIMEOUT),
    "enqueue": lambda engine: DeviceRows(engine).enqueue(
        {"pi4": [(ARTIFACT, PROTOCOLS["quick"]), (ARTIFACT, PROTOCOLS["standard"])]}
    ),
    "dequeue": lambda engine: DeviceRows(engine).dequeue(
        "shelf", [(FLOAT_ARTIFACT, PROTOCOLS["quick"])]
    ),
    "add a job": lambda engine: JobRows(engine).add(replace(JOB, id="another")),
    "update a job": lambda engine: JobRows(engine).update_state(JOB.id, DONE),
    "delete a job": lambda engine: JobRows(engine).delete(JOB.id),
    "renew leases": lambda engine: Leases(engine).renew({"shelf": "a token", "pi4": "another"}),
    "release leases": lambda engine: Leases(engine).release(["a token"]),
    "replace the trials in training": lambda engine: RunningRows(engine).replace(
        [TrialProgress(FAILED.id, "2026-01-01T00:00:00.000Z", epoch=1, epochs=2)]
    ),
    "publish": lambda engine: PublishedRows(engine).add([LATENCY, replace(LATENCY, threads=1)]),
    "begin a batch": lambda engine: ObservationRows(engine).begin_batch(BATCH),
    "end a batch": lambda engine: ObservationRows(engine).end_batch(replace(BATCH, id="a batch")),
    "add a canary": lambda engine: ObservationRows(engine).add_canary(
        replace(CANARY, batch="a batch")
    ),
    "add an answer": lambda engine: ObservationRows(engine).add_answer(ANSWER),
    "replace kernels": lambda engine: ObservationRows(engine).add_kernels(KERNELS),
    "add a profile": lambda engine: ObservationRows(engine).add_profile(CASE, [OPERATOR]),
    "correct a measurement": correct_first,
    "withdraw a measurement": withdraw_first,
}


def count_rows(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_is_interrupted_anywhere_leaves_nothing(engine: Engine, name: str) -> None:
    fill(engine)
    JobRows(engine).add(JOB)
    before = read_everything(engine)
    for number in count(1):
        try:
            with interrupted_at(engine, number):
                WRITES[name](engine)
        except InterruptedWrite:
            assert read_everything(engine) == before
        else:
            break
    assert number > 1
    assert read_everything(engine) != before


def test_threads_that_finish_one_case_store_a_measurement_each(engine: Engine) -> None:
    store_trial(engine)
    rows = CaseRows(engine)
    run_at_once(
        [
            lambda latency=latency: rows.finish("local", make_measurement(CASE, latency))  # type: ignore[misc]
            for latency in range(1, THREADS + 1)
        ]
    )
    assert [count_rows(engine, name) for name in ("cases", "measurements", "runs")] == [
        1,
        THREADS,
        2 * THREADS,
    ]
    assert len(read_results(engine)) == 1
    assert len(list(History(engine).iter_measurements())) == THREADS


def test_threads_that_finish_one_trial_leave_one_curve(engine: Engine) -> None:
    trial, _ = store_trial(engine)
    rows = TrialRows(engine)
    run_at_once(
        [
            lambda epochs=epochs: rows.finish(make_outcome(trial, epochs=epochs))  # type: ignore[misc]
            for epochs in range(1, THREADS + 1)
        ]
    )
    (curve,) = rows.get_curves([trial]).values()
    assert [epoch.number for epoch in curve] == list(range(1, len(curve) + 1))
    assert count_rows(engine, "epochs") == len(curve)
    assert count_rows(engine, "trial_artifacts") == 1


def test_threads_that_replace_one_row_leave_one(engine: Engine) -> None:
    store_trial(engine)
    cases, observations = CaseRows(engine), ObservationRows(engine)
    cases.plan([CASE], "local")
    for _ in range(ROUNDS):
        run_at_once([lambda: observations.add_answer(ANSWER)] * THREADS)
        run_at_once([lambda: cases.add_pending_run(CASE, PROCESS)] * THREADS)
    assert count_rows(engine, "answers") == count_rows(engine, "pending_runs") == 1


def test_threads_that_store_the_same_rows_in_any_order_do_not_lock_each_other_out(
    engine: Engine,
) -> None:
    store_trial(engine)
    cases, trials = CaseRows(engine), TrialRows(engine)
    for number in range(ROUNDS):
        planned = [make_case(ARTIFACT, f"device-{number}-{index}") for index in range(100)]
        sweep = make_sweep(*(make_trial(100 * number + index) for index in range(100)))
        backwards = replace(sweep, trials=sweep.trials[::-1])
        run_at_once(
            [
                lambda planned=planned: cases.plan(planned, "ssh"),  # type: ignore[misc]
                lambda planned=planned: cases.plan(planned[::-1], "ssh"),  # type: ignore[misc]
                lambda sweep=sweep: trials.submit(sweep, again=sweep.trials),  # type: ignore[misc]
                lambda sweep=backwards: trials.submit(sweep, again=sweep.trials),  # type: ignore[misc]
            ]
        )
    assert count_rows(engine, "cases") == 100 * ROUNDS


def test_what_one_process_stored_another_sees_at_once(url: str, engine: Engine) -> None:
    """Another process would have just what the test has: an engine of its own."""
    trial, _ = store_trial(engine)
    other = open_database(url)
    assert TrialRows(other).get_states([trial])[trial.id].done
    CaseRows(other).finish("local", make_measurement(CASE))
    assert CASE.id in CaseRows(engine).get_first_measurements(["here"], [CASE.artifact])
    other.dispose()


def test_a_row_that_refers_to_a_missing_one_is_refused(engine: Engine) -> None:
    writes: tuple[Callable[[], object], ...] = (
        lambda: CaseRows(engine).finish("local", make_measurement(CASE)),
        lambda: CaseRows(engine).fail(CASE, "local", failure=TIMEOUT),
        lambda: TrialRows(engine).finish(make_outcome(FAILED)),
        lambda: TrialRows(engine).fail(FAILED.id, DIVERGED),
        lambda: DeviceRows(engine).enqueue({"pi4": [(ARTIFACT, PROTOCOLS["quick"])]}),
        lambda: ObservationRows(engine).add_answer(ANSWER),
        lambda: ObservationRows(engine).add_canary(CANARY),
    )
    before = read_everything(engine)
    for write in writes:
        with pytest.raises(IntegrityError):
            write()
    assert read_everything(engine) == before


def test_a_database_that_stays_locked_is_an_error_of_ours(sqlite_url: str) -> None:
    engine, other = open_database(sqlite_url, patience_s=0.05), open_database(sqlite_url)
    with write_transaction(other), pytest.raises(DatabaseBusy, match=r"harness\.db for 0\.05 s"):
        DeviceRows(engine).mark_ready(SHELF, {})
    DeviceRows(engine).mark_ready(SHELF, {})
    engine.dispose()
    other.dispose()
