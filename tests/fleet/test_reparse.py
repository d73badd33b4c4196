"""Stored outputs stay, and are parsed again by the current parser."""

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
from tests.store.examples import make_case, make_measurement, run_named_query, store_trial

PROCESSES = 6
WATCH = "sensors temperature\nat 1.0 40000\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/harness.db")
    yield engine
    engine.dispose()


@pytest.fixture
def case(engine: Engine) -> Case:
    _, outcome = store_trial(engine)
    return make_case(outcome.artifacts[0].sha256)


def make_output(average_us: float) -> str:
    return (
        f"count=20 first={average_us} curr={average_us} min={average_us} max={average_us} "
        f"avg={average_us} std=0\n"
    )


def make_process(case: Case, number: int, stdout: str) -> Process:
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


def make_misread(case: Case, stdout: str, latency_us: float = 100.0) -> Measurement:
    """Return a measurement by an earlier parser, which read each `stdout` as `latency_us`."""
    stored = make_measurement(case, latency_us, processes=PROCESSES)
    runs = [
        replace(run, process=make_process(case, run.process.number, stdout=stdout))
        for run in stored.runs
    ]
    return replace(stored, runs=tuple(runs))


def reparse_all(engine: Engine) -> list[ReparsedCase]:
    return list(reparse(History(engine), CaseRows(engine), leases=Leases(engine)))


def test_numbers_that_parse_differently_are_corrected_once(engine: Engine, case: Case) -> None:
    CaseRows(engine).finish("local", make_misread(case, make_output(250)))
    (first,) = reparse_all(engine)
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
    (second,) = reparse_all(engine)
    assert second.outcome is ReparseOutcome.SAME


def test_a_measurement_that_no_longer_parses_is_withdrawn_until_it_does(
    engine: Engine, case: Case
) -> None:
    rows = CaseRows(engine)
    rows.finish("local", make_misread(case, "nonsense"))
    (reparsed,) = reparse_all(engine)
    assert reparsed.outcome is ReparseOutcome.WITHDRAWN
    assert read_results(engine) == []
    assert rows.get_first_measurements([case.device], [case.artifact]) == {}, (
        "the next bench measures it"
    )
    (failure,) = run_query(engine, "SELECT case_id, reason FROM failures").records()
    assert failure == {"case_id": case.id, "reason": "unparsable"}
    assert [case.outcome for case in reparse_all(engine)] == [ReparseOutcome.SAME]
    assert len(run_query(engine, "SELECT * FROM failures").records()) == 1

    replace_logs(engine, case, stdout=make_output(300))
    (restored,) = reparse_all(engine)
    assert (restored.outcome, restored.before_us, restored.after_us) == (
        ReparseOutcome.CHANGED,
        None,
        300.0,
    )
    assert [row["latency_us"] for row in read_results(engine)] == [300.0]


def replace_logs(engine: Engine, case: Case, stdout: str) -> None:
    """Replace the stored logs with readable ones, in place of a parser that reads the old ones."""
    from harness.store.rows.values import compress_text
    from harness.store.tables import runs

    with engine.begin() as connection:
        connection.execute(runs.update().values(stdout_zstd=compress_text(stdout)))


@pytest.mark.parametrize("readable", range(PROCESSES + 1))
def test_a_case_is_finished_if_all_its_processes_parse(
    engine: Engine, case: Case, readable: int
) -> None:
    rows, devices = CaseRows(engine), DeviceRows(engine)
    rows.plan([case], "local")
    devices.mark_ready(LocalDevice(id=case.device), {"machine": "aarch64"})
    devices.enqueue({case.device: [(case.artifact, case.protocol)]})
    for number in range(1, PROCESSES + 1):
        rows.add_pending_run(
            case,
            make_process(
                case, number, stdout=make_output(100) if number <= readable else "nonsense"
            ),
        )
    rows.fail(case, "local", failure=CaseFailed(Reason.UNPARSABLE, "nonsense"))
    (reparsed,) = reparse_all(engine)
    is_finished = readable == PROCESSES
    assert (reparsed.outcome, reparsed.runs) == (
        ReparseOutcome.FINISHED if is_finished else ReparseOutcome.OPEN,
        readable,
    )
    assert [row["latency_us"] for row in read_results(engine)] == [100.0] * is_finished
    assert len(run_named_query(engine, "failures").records()) == (0 if is_finished else 1)
    assert len(run_query(engine, "SELECT * FROM pending_runs").records()) == (
        0 if is_finished else PROCESSES
    )
    assert run_query(engine, "SELECT * FROM leases").records() == []
    assert [
        row["facts"] for row in run_query(engine, "SELECT facts FROM measurements").records()
    ] == ['{"machine": "aarch64"}'] * is_finished


def test_a_case_that_a_bench_is_measuring_is_left_to_it(engine: Engine, case: Case) -> None:
    rows = CaseRows(engine)
    rows.plan([case], "local")
    for number in range(1, PROCESSES + 1):
        rows.add_pending_run(case, make_process(case, number, stdout=make_output(100)))
    Leases(engine).renew({case.device: "another's"})
    assert reparse_all(engine) == []
    assert read_results(engine) == []
