"""Ray Jobs: commands that a Ray cluster on this machine runs after their shell may have ended.

Without an address, jobs run on the user's own cluster, which is started here with
`ray start --head`. The last job ends it, so that measurements have the machine to themselves.
"""

import logging
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.core.errors import HarnessError, RequestError, first_line
from harness.training import ray_private
from harness.training.ray_address import check_listening

_ANSWER_S = 5.0
_SUBMIT_S = 120.0  # the job's first process starts within this time
_GRACE_S = "60"  # Ray's default of 3 s is too short for Tune and its trials to end
_POLL_S = 0.1
_STATES = {"succeeded": "done"}  # Ray's states that have another name here
_UNFINISHED = ("pending", "running")
_PORT_OPTIONS = ("port", "dashboard-port", "dashboard-agent-listen-port")
_ADDRESS_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


@dataclass(frozen=True)
class RayJob:
    """A job as Ray reports it: `pending`, `running`, `done`, `failed` or `stopped`.

    `message` is Ray's explanation once the job is over.
    """

    state: str
    message: str = ""


@dataclass(frozen=True)
class JobList:
    """The jobs of a cluster by id, or the `problem` that kept Ray from listing them."""

    jobs: Mapping[str, RayJob] = field(default_factory=dict)
    problem: str = ""


@contextmanager
def lock_cluster(timeout_s: float = -1) -> Iterator[None]:
    """Hold the lock on this user's jobs cluster; within one process it may be taken repeatedly.

    No job is submitted to a cluster that is about to end, and no list misses a job that is being
    submitted. Raises Timeout.
    """
    with FileLock(_folder() / "lock", is_singleton=True).acquire(timeout=timeout_s):
        yield


def ensure_cluster(address: str | None) -> str:
    """Return the URL of the jobs server of the cluster at `address`.

    Without an address, use this user's jobs cluster and start it if it is not running.
    Raises RequestError if no cluster answers, or its head runs on another machine.
    """
    if address is None:
        cluster_address = _running_cluster() or _start_cluster()
    else:
        cluster_address = _resolve(address)
    _prepare_client()
    try:
        with _without_address_variables():
            return ray_private.resolve_jobs_server(cluster_address)
    except (OSError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"The Ray cluster at {cluster_address} has no jobs server: {first_line(error)}; "
            "start its head with `ray start --head`, including the dashboard."
        ) from error


def submit_job(server: str, job_id: str, script: str) -> None:
    """Submit a shell script as a job. Raises RequestError if the server refuses it."""
    try:
        _connect(server, _SUBMIT_S).submit_job(entrypoint=script, submission_id=job_id)
    except Exception as error:  # whatever Ray's client and its HTTP library raise
        raise RequestError(
            f"The Ray cluster at {server} did not accept the job: {first_line(error)}; "
            "see the cluster's log."
        ) from error


def list_jobs(server: str) -> JobList:
    """Return the jobs that the server knows; none if nothing listens there any more."""
    try:
        with lock_cluster(timeout_s=0):
            jobs = _connect(server, _ANSWER_S).list_jobs()
    except ConnectionError:
        return JobList()
    except Timeout:
        return JobList(problem="another command is submitting or ending a job")
    except Exception as error:  # noqa: BLE001  (whatever Ray's client and its HTTP library raise)
        return JobList(problem=f"{type(error).__name__}: {first_line(error)}")
    return JobList({job.submission_id or job.job_id: _read_job(job) for job in jobs})


def _read_job(job: Any) -> RayJob:
    state = job.status.value.lower()
    message = first_line(job.message) if job.status.is_terminal() else ""
    return RayJob(_STATES.get(state, state), message)


def leave_cluster(server: str, job_id: str) -> None:
    """End this user's jobs cluster if `job_id` is its last job; a job calls this at its end.

    The end of the cluster kills the calling process, so everything else must be finished.
    """
    jobs = list_jobs(server).jobs
    unfinished = {listed_id for listed_id, job in jobs.items() if job.state in _UNFINISHED}
    if unfinished == {job_id} and (head := _head_process()):
        _address_file().unlink(missing_ok=True)  # from now on no command joins the cluster
        head.terminate()


def _folder() -> Path:
    """Return the cluster's folder; its path is short because Ray creates sockets in it."""
    folder = Path(tempfile.gettempdir()) / f"ray-jobs-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise HarnessError(
            f"{folder}: belongs to another user; remove it, or set TMPDIR to another folder."
        )
    return folder


def _address_file() -> Path:
    """Return the file to which `ray start` writes the cluster's address."""
    return _folder() / "ray_current_cluster"


def _running_cluster() -> str | None:
    try:
        address = _address_file().read_text().strip()
        check_listening(address, _ANSWER_S)
    except (OSError, ValueError):
        return None
    return address


def _start_cluster() -> str:
    """Start a cluster that outlives this process and return its address. Raises HarnessError."""
    # The token is the user's own: Ray keeps it in the home folder.
    generate_token = [*ray_private.RAY_COMMAND, "get-auth-token", "--generate"]
    subprocess.run(generate_token, capture_output=True, check=False)
    _address_file().unlink(missing_ok=True)
    head = _spawn_head()
    try:
        return _wait_for_address(head)
    except BaseException:
        head.terminate()
        raise


def _wait_for_address(head: "subprocess.Popen[bytes]") -> str:
    while not _address_file().exists():
        if head.poll() is not None:
            raise HarnessError(
                f"Cannot start Ray on this machine: see {_log_file()}, and run `harness doctor`."
            )
        time.sleep(_POLL_S)
    return _address_file().read_text().strip()


def _spawn_head() -> "subprocess.Popen[bytes]":
    """Start the head node in a session of its own, so that it outlives the shell.

    It does not inherit the harness's settings, which each job sets for itself.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _ADDRESS_VARIABLES and not name.startswith("HARNESS_")
    }
    any_free_port = [f"--{option}=0" for option in _PORT_OPTIONS]
    options = ["--block", "--disable-usage-stats", *any_free_port, f"--temp-dir={_folder()}"]
    with _log_file().open("wb") as log:
        return subprocess.Popen(
            [*ray_private.RAY_COMMAND, "start", "--head", *options],
            cwd=_folder(),
            env={"RAY_AUTH_MODE": "token", **inherited, "RAY_JOB_STOP_WAIT_TIME_S": _GRACE_S},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _log_file() -> Path:
    return _folder() / "ray.log"


def _resolve(address: str) -> str:
    """Return HOST:PORT of a cluster of this machine.

    Raises RequestError if no cluster answers, or the address is another machine's.
    """
    _prepare_client()
    try:
        resolved = ray_private.find_cluster() if address == "auto" else address
        _refuse_other_machines(resolved)
        check_listening(resolved, _ANSWER_S)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--address {address}: no Ray cluster answers there: {first_line(error)}; "
            "give HOST:PORT of a running cluster, or auto."
        ) from error
    return resolved


def _refuse_other_machines(address: str) -> None:
    """Raise RequestError unless a socket can listen on the host: only a machine's own can."""
    host = socket.gethostbyname(address.rpartition(":")[0])
    try:
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise RequestError(
            f"--address {address}: is not on this machine, where the job's workspace is; "
            "submit with --detach over there, or without it from here."
        ) from error


def _prepare_client() -> None:
    """Silence Ray's log and load the user's token; must precede every other use of Ray here."""
    import ray  # noqa: F401  (its import creates the logger)

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ray_private.use_token_if_available()


def _connect(server: str, timeout_s: float) -> Any:
    _prepare_client()
    with _without_address_variables():
        return ray_private.connect_to_jobs_server(server, timeout_s)


@contextmanager
def _without_address_variables() -> Iterator[None]:
    """Unset the variables that Ray prefers to the address that it is given."""
    removed = {name: os.environ.pop(name) for name in _ADDRESS_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(removed)


def _head_process() -> Any:
    """Return the head of this user's jobs cluster if this process descends from it."""
    _prepare_client()
    import psutil  # the copy that Ray bundles, unless it is installed

    arguments = {"--head", f"--temp-dir={_folder()}"}
    for process in psutil.Process().parents():
        if arguments <= set(process.cmdline()):
            return process
    return None
