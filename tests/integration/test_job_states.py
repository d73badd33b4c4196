"""`harness status` reports jobs even if their Ray cluster does not answer as it should."""

import platform
import socket
from pathlib import Path

import pytest

from harness.store.database import open_database
from harness.store.rows.jobs import LOST, RUNNING, JobRow, JobRows
from tests.harness_cli import Cli
from tests.jobs_server import serve


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "workspace", {"TMPDIR": str(tmp_path)})


@pytest.fixture
def jobs(cli: Cli) -> JobRows:
    cli.home.mkdir()
    return JobRows(open_database(f"sqlite:///{cli.home / 'harness.db'}"))


def add_running_job(jobs: JobRows, server: str) -> None:
    job = JobRow(
        "job-1",
        "study",
        file="study.yaml",
        node=platform.node(),
        server=server,
        submitted_at="2026-01-01T00:00:00.000Z",
    )
    jobs.add(job)
    jobs.update_state(job.id, RUNNING)


def state_of(jobs: JobRows) -> str:
    (job,) = jobs.list_latest(10)
    return job.state


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [(200, "nonsense", "Expecting value"), (401, "Unauthorized: missing token", "missing token")],
    ids=["nonsense", "wrong token"],
)
def test_a_cluster_that_does_not_answer_is_reported_in_one_line_with_the_reason(
    cli: Cli, jobs: JobRows, status: int, body: str, reason: str
) -> None:
    with serve(status, body) as server:
        add_running_job(jobs, server)
        reported = cli.run("status")
    assert reported.returncode == 0, reported.stdout + reported.stderr
    (problem,) = [line for line in reported.stdout.splitlines() if "unknown" in line]
    assert problem.startswith(f"Job states unknown: the Ray cluster at {server} did not answer (")
    assert reason in problem
    assert problem.endswith("); the table shows their last known states.")
    assert state_of(jobs) == RUNNING


@pytest.mark.full
def test_a_cluster_that_has_ended_loses_its_jobs(cli: Cli, jobs: JobRows) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    add_running_job(jobs, f"http://127.0.0.1:{port}")
    reported = cli.run("status")
    assert "submit the sweep again" in reported.stdout
    assert "unknown" not in reported.stdout
    assert state_of(jobs) == LOST
