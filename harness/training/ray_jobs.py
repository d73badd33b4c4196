"""The door to Ray Jobs: a command that a Ray cluster on this machine runs, when its shell may be gone.

Without an address that is a cluster of the user's own, started here for jobs (`ray start --head`), and ended by the
last of them, so that measurements have the machine for themselves again.
"""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.core.errors import HarnessError, RequestError, first_line

_ASKING_S = 5.0
_HANDING_OVER_S = 120.0  # the job's first process starts meanwhile
_GRACE_S = "60"  # Ray's own is 3 s: what is told to stop has to end Tune and its trials
_POLL_S = 0.1
_STATES = {"succeeded": "done"}  # Ray's words that are not ours
_UNDER_WAY = ("pending", "running")
_RAY = (sys.executable, "-m", "ray.scripts.scripts")
_PORTS = ("port", "dashboard-port", "dashboard-agent-listen-port")  # any that are free
_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


@contextmanager
def one_at_a_time(patience_s: float = -1) -> Iterator[None]:
    """So that no job is handed to a cluster that is about to end, and none is asked for that is being handed over.

    Raises Timeout; within one process it lets everything through.
    """
    with FileLock(_folder() / "lock", is_singleton=True).acquire(timeout=patience_s):
        yield


def cluster(address: str | None) -> str:
    """The URL of the jobs server of the cluster at `address`, or of the one for jobs, which is started if need be.

    Raises RequestError where there is none, or its head runs on another machine.
    """
    joined = (_started() or _start()) if address is None else _resolved(address)
    try:
        return _server(joined)
    except (OSError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"The Ray cluster at {joined} has no jobs server: {first_line(error)}; "
            "start its head by `ray start --head`, with the dashboard."
        ) from error


def submit(server: str, job_id: str, script: str) -> None:
    """Hands a shell script over. Raises RequestError where the server takes none."""
    try:
        _client(server, _HANDING_OVER_S).submit_job(entrypoint=script, submission_id=job_id)
    except Exception as error:  # whatever Ray's client and its HTTP library raise
        raise RequestError(
            f"The Ray cluster at {server} took no job: {first_line(error)}; see its own log."
        ) from error


def ask(server: str) -> dict[str, tuple[str, str]] | None:
    """The state of each job and, where it is over, what Ray says of that, by id.

    States are `pending`, `running`, `done`, `failed` and `stopped`. There are none where nobody answers any more, and
    no answer where it can't be had now.
    """
    try:
        with one_at_a_time(patience_s=0):
            jobs = _client(server, _ASKING_S).list_jobs()
    except ConnectionError:
        return {}
    except Exception:  # noqa: BLE001  (something is being handed over; too slow; another cluster's token)
        return None
    return {job.submission_id or job.job_id: _told(job) for job in jobs}


def _told(job: Any) -> tuple[str, str]:
    state = job.status.value.lower()
    return _STATES.get(state, state), first_line(job.message) if job.status.is_terminal() else ""


def leave(server: str, job_id: str) -> None:
    """Called at the end of a job, in one of its processes: ends the cluster that was started for jobs after its last.

    What the cluster's own end takes with it has to be done before.
    """
    jobs = ask(server)
    under_way = (
        None if jobs is None else {one for one, (state, _) in jobs.items() if state in _UNDER_WAY}
    )
    if under_way == {job_id} and (ray := _root()):
        _address_file().unlink(missing_ok=True)  # from here on nobody joins it
        ray.terminate()


def _folder() -> Path:
    """Short, as Ray has sockets in it."""
    folder = Path(tempfile.gettempdir()) / f"ray-jobs-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise HarnessError(
            f"{folder}: belongs to someone else; remove it, or set TMPDIR to another folder."
        )
    return folder


def _address_file() -> Path:
    """Where `ray start` writes it."""
    return _folder() / "ray_current_cluster"


def _started() -> str | None:
    try:
        address = _address_file().read_text().strip()
        _knock(address)
    except (OSError, ValueError):
        return None
    return address


def _knock(address: str) -> None:
    """Raises OSError where nobody answers: Ray's own client would go on asking."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), _ASKING_S).close()


def _start() -> str:
    """The address of a new cluster, which lives on when this process ends. Raises HarnessError."""
    subprocess.run(
        [*_RAY, "get-auth-token", "--generate"], capture_output=True, check=False
    )  # the user's own
    _address_file().unlink(missing_ok=True)
    starting = _ray_head()
    try:
        return _address_of(starting)
    except BaseException:
        starting.terminate()
        raise


def _address_of(starting: "subprocess.Popen[bytes]") -> str:
    while not _address_file().exists():
        if starting.poll() is not None:
            raise HarnessError(
                f"Can't start Ray on this machine: see {_log()}, and `harness doctor`."
            )
        time.sleep(_POLL_S)
    return _address_file().read_text().strip()


def _ray_head() -> "subprocess.Popen[bytes]":
    """In a session of its own, which the shell's end does not reach; no job gets another one's settings from it."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in _ADDRESSES and not key.startswith("HARNESS_")
    }
    where = (*(f"--{port}=0" for port in _PORTS), f"--temp-dir={_folder()}")
    with _log().open("wb") as log:
        return subprocess.Popen(
            [*_RAY, "start", "--head", "--block", "--disable-usage-stats", *where],
            cwd=_folder(),
            env={"RAY_AUTH_MODE": "token", **kept, "RAY_JOB_STOP_WAIT_TIME_S": _GRACE_S},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _log() -> Path:
    return _folder() / "ray.log"


def _resolved(address: str) -> str:
    """HOST:PORT. Raises RequestError where nobody answers there, or not from this machine."""
    _quiet()
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        resolved = (
            str(canonicalize_bootstrap_address_or_die(address)) if address == "auto" else address
        )
        _refuse_elsewhere(resolved)
        _knock(resolved)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--address {address}: no Ray cluster answers there: {first_line(error)}; it has to be HOST:PORT, or auto."
        ) from error
    return resolved


def _refuse_elsewhere(address: str) -> None:
    """Only an address of this machine can be listened on."""
    host = socket.gethostbyname(address.rpartition(":")[0])
    try:
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise RequestError(
            f"--address {address}: is not on this machine, and a job runs where its workspace is; "
            "log in there and submit with --detach, or submit from here without."
        ) from error


def _quiet() -> None:
    """Before anything else of Ray's: its token, where there is one, and not its log."""
    import ray  # noqa: F401  (its logger is made by it)
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _server(address: str) -> str:
    _quiet()
    from ray.dashboard.utils import ray_address_to_api_server_url

    with _settled_environment():
        return str(ray_address_to_api_server_url(address))


def _client(server: str, patience_s: float) -> Any:
    _quiet()
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]  # Ray ships no types for it
        def _do_request(self, *arguments: Any, **named: Any) -> Any:
            """Ray's own would wait for ever."""
            return super()._do_request(*arguments, **named, timeout=patience_s)

    with _settled_environment():
        return Client(server)


@contextmanager
def _settled_environment() -> Iterator[None]:
    """Ray would take its variables before the address that it is given."""
    kept = {name: os.environ.pop(name) for name in _ADDRESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _root() -> Any:
    """The process that this one descends from, if that is the cluster for jobs."""
    _quiet()
    import psutil  # Ray brings its own

    told = f"--temp-dir={_folder()}"
    return next(
        (one for one in psutil.Process().parents() if {"--head", told} <= set(one.cmdline())), None
    )
