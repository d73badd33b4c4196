"""Lists of jobs from servers that answer in ways that a healthy Ray cluster does not."""

import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.training import ray_jobs
from harness.training.ray_jobs import JobList, list_jobs
from tests.jobs_server import serve

HOLD_LOCK = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a temporary folder of its own, with none of the user's clusters in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, "<html>Welcome to nginx!</html>", "JSONDecodeError: Expecting value"),
        (200, '{"version": 4}', "KeyError: 'ray_version'"),
        (401, "Unauthorized: missing token", "AuthenticationError: .*missing token"),
        (403, "Forbidden: wrong token", "AuthenticationError: .*wrong token"),
        (404, "not found", "RuntimeError: Version check returned 404"),
        (500, "out of order", "HTTPError: 500 Server Error"),
    ],
)
def test_a_server_that_does_not_list_jobs_is_a_problem_with_its_reason(
    status: int, body: str, reason: str
) -> None:
    with serve(status, body) as server:
        listing = list_jobs(server)
    assert not listing.jobs
    assert "\n" not in listing.problem
    assert re.match(reason, listing.problem), listing.problem


def test_where_nothing_listens_any_more_there_are_no_jobs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert list_jobs(server) == JobList()


@pytest.fixture
def busy_cluster() -> Iterator[None]:
    """Hold the cluster's lock in another process, as a command does that submits a job."""
    lock = ray_jobs._folder() / "lock"
    command = [sys.executable, "-c", HOLD_LOCK, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@pytest.mark.usefixtures("busy_cluster")
def test_while_a_job_is_being_submitted_its_cluster_is_not_asked() -> None:
    assert list_jobs("http://127.0.0.1:1") == JobList(
        problem="another command is submitting or ending a job"
    )
