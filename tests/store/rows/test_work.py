"""The work of other processes, as the rows have it."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from harness.core.bench import PROTOCOLS
from harness.core.sweep import Precision
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.leases import Leases, describe_owner
from harness.store.rows.trials import TrialRows
from harness.store.rows.work import QueueCounts, WorkRows
from tests.store.examples import make_case, make_measurement, make_outcome, make_sweep, make_trial

QUICK = PROTOCOLS["quick"]


@pytest.fixture
def rows(engine: Engine) -> WorkRows:
    return WorkRows(engine)


def test_only_a_lease_that_has_not_expired_is_a_use(engine: Engine, rows: WorkRows) -> None:
    Leases(engine).renew({"pi4": "ours"})
    Leases(engine, seconds=-1.0).renew({"pi5": "expired"})
    assert rows.list_users() == {"pi4": describe_owner()}


def test_an_artifact_waits_then_is_queued_then_is_measured(engine: Engine, rows: WorkRows) -> None:
    binary, twin = make_trial(), make_trial(precision=Precision.FLOAT32)
    assert binary.twin == twin.twin
    trials, devices, cases = TrialRows(engine), DeviceRows(engine), CaseRows(engine)
    trials.submit(make_sweep(binary, twin, name="both"), [])
    outcome = make_outcome(binary)
    trials.finish(outcome)
    assert rows.count_artifacts(["both"], []) == QueueCounts(waiting=1)
    assert rows.count_artifacts(["other"], []) == QueueCounts()

    case = make_case(outcome.artifacts[0].sha256, device="pi4")
    cases.plan([case], "ssh")
    devices.enqueue({"pi4": [(case.artifact, case.protocol)]})
    assert rows.count_artifacts(["both"], ["pi4"]) == QueueCounts(queued=1)

    process = make_measurement(case).runs[0].process
    cases.add_pending_run(case, process)
    cases.add_pending_run(case, replace(process, number=process.number + 1))
    assert rows.count_artifacts(["both"], ["pi4"]) == QueueCounts(measuring=1)
    assert rows.count_artifacts(["both"], []) == QueueCounts(queued=1), "nobody measures it now"
    pending = rows.list_pending()["pi4"]
    assert (pending.artifact, pending.processes) == (case.artifact, 2)
    assert pending.process == process.number + 1

    cases.finish("ssh", make_measurement(case))
    assert rows.count_artifacts(["both"], ["pi4"]) == QueueCounts()
    assert rows.list_pending() == {}
    assert rows.count_cases_per_trial(["both"]) == {"pi4": 1.0}


def test_the_latest_measurements_come_with_their_processes(engine: Engine, rows: WorkRows) -> None:
    outcome = make_outcome(make_trial())
    TrialRows(engine).submit(make_sweep(make_trial()), [])
    TrialRows(engine).finish(outcome)
    measurement = make_measurement(make_case(outcome.artifacts[0].sha256, device="pi4"))
    CaseRows(engine).finish("ssh", measurement)
    (measured,) = rows.list_latest_measurements()
    assert (measured.device, measured.processes) == ("pi4", len(measurement.runs))
    assert measured.started_at == min(run.process.started_at for run in measurement.runs)
    assert measured.temperature_c == measurement.summary.temperature_c


def test_trials_that_are_done_tell_when_and_how_long(engine: Engine, rows: WorkRows) -> None:
    trials = [make_trial(seed) for seed in range(3)]
    stored = TrialRows(engine)
    stored.submit(make_sweep(*trials, name="both"), [])
    for trial in trials[:2]:
        stored.finish(make_outcome(trial))
    ended = rows.list_ended_trials("both")
    assert [trial.work_s for trial in ended] == [make_outcome(trials[0]).timings.work_s] * 2
    assert ended[0].finished_at <= ended[1].finished_at
