import pytest
from sqlalchemy import Engine

from harness.store.rows.jobs import DONE, FAILED, LOST, RUNNING, JobRow, JobRows


def make_job(number: int, sweep: str = "study") -> JobRow:
    at = f"2026-01-01T00:00:{number:02}.000Z"
    return JobRow(
        f"job-{number}",
        sweep,
        file=f"jobs/{sweep}.yaml",
        node="head",
        server="http://127.0.0.1:8265",
        submitted_at=at,
    )


@pytest.fixture
def rows(engine: Engine) -> JobRows:
    rows = JobRows(engine)
    for number in (1, 3, 2):
        rows.add(make_job(number))
    return rows


def test_a_job_is_active_until_its_end_is_known(rows: JobRows) -> None:
    rows.update_state("job-1", RUNNING)
    rows.update_state("job-2", DONE)
    assert [(job.id, job.state) for job in rows.list_active()] == [
        ("job-3", "pending"),
        ("job-1", "running"),
    ]
    assert all(job.ended_at is None for job in rows.list_active())


def test_a_job_that_has_ended_keeps_its_state(rows: JobRows) -> None:
    rows.update_state("job-1", FAILED, message="2 trials failed.\0")
    ended = rows.get("job-1")
    rows.update_state("job-1", LOST, message="Ray is gone.")
    assert ended is not None
    assert (ended.state, ended.message) == (FAILED, "2 trials failed.\ufffd")
    assert ended.ended_at is not None
    assert rows.get("job-1") == ended


def test_a_lost_job_may_still_report_its_end(rows: JobRows) -> None:
    rows.update_state("job-1", LOST, message="Nobody answers.")
    assert "job-1" not in {job.id for job in rows.list_active()}
    rows.update_state("job-1", DONE)
    job = rows.get("job-1")
    assert job is not None
    assert (job.state, job.message) == (DONE, "")


def test_the_newest_jobs_come_first(rows: JobRows) -> None:
    assert [job.id for job in rows.list_latest(2)] == ["job-3", "job-2"]


def test_a_deleted_job_leaves_no_row(rows: JobRows) -> None:
    rows.delete("job-3")
    assert rows.get("job-3") is None
    assert [job.id for job in rows.list_latest(9)] == ["job-2", "job-1"]
