"""What was printed stays; what is read of it is what the parser of now reads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from harness.core.bench import Case, Measurement, Process
from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, Reason
from harness.fleet.reparse import ReparsedCase, ReparseOutcome, reparse
from harness.store.database import open_database
from harness.store.reading import read_results, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.history import History
from harness.store.rows.leases import Leases
from tests.store.examples import answer, make_case, make_measurement, stored_trial

PROCESSES = 6
WATCH = "sensors temperature\nat 1.0 40000\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/harness.db")
    yield engine
    engine.dispose()


@pytest.fixture
def case(engine: Engine) -> Case:
    _, outcome = stored_trial(engine)
    return make_case(outcome.artifacts[0].sha256)


def printed(average: float) -> str:
    return (
        f"count=20 first={average} curr={average} min={average} max={average} avg={average} std=0\n"
    )


def process(case: Case, number: int, stdout: str) -> Process:
    return Process(
        number,
        f"2026-01-01T00:00:0{number}+00:00",
        seconds=0.5,
        exit_code=0,
        stdout=stdout,
        stderr="",
        watch=WATCH,
        artifact_sha256=case.artifact,
    )


def misread(case: Case, stdout: str, latency_us: float = 100.0) -> Measurement:
    """As a parser of the past left it: each run printed `stdout`, and was read as `latency_us`."""
    stored = make_measurement(case, latency_us, processes=PROCESSES)
    runs = [
        replace(run, process=process(case, run.process.number, stdout=stdout))
        for run in stored.runs
    ]
    return replace(stored, runs=tuple(runs))


def again(engine: Engine) -> list[ReparsedCase]:
    return list(reparse(History(engine), CaseRows(engine), leases=Leases(engine)))


def test_numbers_that_are_read_otherwise_now_are_corrected_once(engine: Engine, case: Case) -> None:
    CaseRows(engine).finish("local", misread(case, printed(250)))
    (first,) = again(engine)
    assert (first.outcome, first.runs, first.before_us, first.after_us) == (
        ReparseOutcome.CHANGED,
        PROCESSES,
        100.0,
        250.0,
    )
    assert [row["latency_us"] for row in read_results(engine)] == [250.0]
    rows = run_query(engine, "SELECT avg_us, std_us, init_us, temperature_c FROM runs").records()
    assert (
        rows
        == [{"avg_us": 250.0, "std_us": 0.0, "init_us": None, "temperature_c": 40.0}] * PROCESSES
    )
    (second,) = again(engine)
    assert second.outcome is ReparseOutcome.SAME


def test_what_can_no_longer_be_read_counts_no_longer_and_comes_back_once_it_can(
    engine: Engine, case: Case
) -> None:
    rows = CaseRows(engine)
    rows.finish("local", misread(case, "what a day"))
    (reread,) = again(engine)
    assert reread.outcome is ReparseOutcome.WITHDRAWN
    assert read_results(engine) == []
    assert rows.get_measured_ids([case.device]) == set(), "the next bench measures it"
    (failure,) = run_query(engine, "SELECT case_id, reason FROM failures").records()
    assert failure == {"case_id": case.id, "reason": "unparsable"}
    assert [one.outcome for one in again(engine)] == [ReparseOutcome.SAME]
    assert len(run_query(engine, "SELECT * FROM failures").records()) == 1

    copy_logs(engine, case, stdout=printed(300))
    (back,) = again(engine)
    assert (back.outcome, back.before_us, back.after_us) == (ReparseOutcome.CHANGED, None, 300.0)
    assert [row["latency_us"] for row in read_results(engine)] == [300.0]


def copy_logs(engine: Engine, case: Case, stdout: str) -> None:
    """The past can't be changed, and the parser of now neither: what it would read takes the place of what it can't."""
    from harness.store.rows.values import compress_text
    from harness.store.tables import runs

    with engine.begin() as connection:
        connection.execute(runs.update().values(stdout_zstd=compress_text(stdout)))


@pytest.mark.parametrize("readable", range(PROCESSES + 1))
def test_a_case_is_finished_where_all_its_processes_can_be_read_now(
    engine: Engine, case: Case, readable: int
) -> None:
    rows, devices = CaseRows(engine), DeviceRows(engine)
    rows.plan([case], "local")
    devices.mark_ready(LocalDevice(id=case.device), {"machine": "aarch64"})
    devices.enqueue({case.device: [(case.artifact, case.protocol)]})
    for number in range(1, PROCESSES + 1):
        rows.add_pending_run(
            case, process(case, number, stdout=printed(100) if number <= readable else "what a day")
        )
    rows.fail(case, "local", CaseFailed(Reason.UNPARSABLE, "what a day"))
    (reread,) = again(engine)
    done = readable == PROCESSES
    assert (reread.outcome, reread.runs) == (
        ReparseOutcome.FINISHED if done else ReparseOutcome.OPEN,
        readable,
    )
    assert [row["latency_us"] for row in read_results(engine)] == [100.0] * done
    assert len(answer(engine, "failures").records()) == (0 if done else 1)
    assert len(run_query(engine, "SELECT * FROM pending_runs").records()) == (
        0 if done else PROCESSES
    )
    assert run_query(engine, "SELECT * FROM leases").records() == []
    assert [
        row["facts"] for row in run_query(engine, "SELECT facts FROM measurements").records()
    ] == ['{"machine": "aarch64"}'] * done


def test_a_case_that_a_bench_goes_on_with_right_now_is_left_to_it(
    engine: Engine, case: Case
) -> None:
    rows = CaseRows(engine)
    rows.plan([case], "local")
    for number in range(1, PROCESSES + 1):
        rows.add_pending_run(case, process(case, number, stdout=printed(100)))
    Leases(engine).renew({case.device: "another's"})
    assert again(engine) == []
    assert read_results(engine) == []
