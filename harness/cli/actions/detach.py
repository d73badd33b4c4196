"""The implementation of `harness submit sweep --detach`."""

import os
import platform
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote
from urllib.parse import parse_qs, urlsplit

from harness.cli.actions.bench import select_bench_devices
from harness.cli.actions.jobs import log_of, refresh_jobs
from harness.cli.actions.search import find_search_devices
from harness.cli.actions.session import Session, make_console
from harness.config.sweep_file import read_sweep
from harness.core.errors import RequestError
from harness.store.database import now
from harness.store.files.workspace import DATABASE_VARIABLE, HOME_VARIABLE, format_path
from harness.store.rows.jobs import JobRow
from harness.sweep.trials import build_sweep
from harness.training import ray_jobs

_JOB_VARIABLE = "HARNESS_JOB"
_PASSED_VARIABLES = (
    "HARNESS_DATA",
    "HARNESS_DEVICES",
    DATABASE_VARIABLE,
    "HARNESS_VERBOSE",
    "PGPASSFILE",
    "PYTHONPATH",
)
_HARNESS = (sys.executable, "-m", "harness")


def detach(
    file: Path,
    settings: Sequence[str],
    *,
    bench: bool,
    fleet: bool,
    address: str | None,
    registry: Path,
    mlflow: str | None,
) -> None:
    """Check the request, submit it as a job to Ray, and print how to follow it."""
    sweep = build_sweep(read_sweep(file, settings))
    find_search_devices(file, sweep, registry=registry, bench=bench)
    if bench:
        select_bench_devices(registry, fleet=fleet)
    session = Session.from_environment()
    _refuse_secret(
        DATABASE_VARIABLE,
        os.environ.get(DATABASE_VARIABLE, ""),
        elsewhere="~/.pgpass, or the file of PGPASSFILE",
    )
    _refuse_secret("--mlflow", mlflow or "", elsewhere="~/.mlflow/credentials")
    options: list[str] = []
    for setting in settings:
        options += ["--set", setting]
    if bench:
        options.append("--bench")
    if fleet:
        options.append("--fleet")
    if mlflow is not None:
        options += ["--mlflow", mlflow]
    command = (
        "submit",
        "sweep",
        str(file),
        *options,
        "--devices",
        str(registry),
        "--address",
        "auto",
    )
    job = _submit_job(session, sweep.name, file=file, command=command, address=address)
    make_console().print(
        f"{sweep.name} runs in the background as {job.id} on {job.node}. "
        f"Its output goes to {log_of(session, job.id)}.\nTo follow it: harness status --follow",
        soft_wrap=True,
    )


def _refuse_secret(name: str, address: str, elsewhere: str) -> None:
    url = urlsplit(address)
    if url.password or "password" in parse_qs(url.query):
        raise RequestError(
            f"{name}: holds a password, and --detach would show it in Ray's list of jobs; "
            f"put it into {elsewhere}."
        )


def _submit_job(
    session: Session, sweep: str, file: Path, command: Sequence[str], address: str | None
) -> JobRow:
    with ray_jobs.lock_cluster():
        refuse_second_job(session, sweep)
        server = ray_jobs.ensure_cluster(address)
        job = JobRow(
            f"job-{secrets.token_hex(4)}",
            sweep,
            file=format_path(file),
            node=platform.node(),
            server=server,
            submitted_at=now(),
        )
        log_of(session, job.id).parent.mkdir(exist_ok=True)
        log_of(session, job.id).touch()
        session.jobs.add(job)  # first, as the job updates this row
        try:
            ray_jobs.submit_job(
                server, job.id, script=_make_script(session, job.id, command=command)
            )
        except RequestError:
            session.jobs.delete(job.id)
            raise
    return job


def refuse_second_job(session: Session, sweep: str) -> None:
    """Raise RequestError if another job trains the sweep, as both would train the same trials."""
    refresh_jobs(session)
    for job in session.jobs.list_active():
        if job.sweep == sweep and job.id != os.environ.get(_JOB_VARIABLE):
            raise RequestError(
                f"{sweep} is already running as {job.id} on {job.node}; "
                "follow it with `harness status --follow`."
            )


def _make_script(session: Session, job_id: str, command: Sequence[str]) -> str:
    """Return a script for a POSIX shell.

    The script ignores SIGTERM, so that it can store how the command ended.
    """
    settings = {**{name: os.environ.get(name) for name in _PASSED_VARIABLES}, _JOB_VARIABLE: job_id}
    settings[HOME_VARIABLE] = str(session.workspace.home)
    lines = (
        "trap : TERM",
        f"cd {quote(str(Path.cwd()))} || exit",
        f"exec >{quote(str(log_of(session, job_id)))} 2>&1",
        *(
            f"unset {name}" if value is None else f"export {name}={quote(value)}"
            for name, value in settings.items()
        ),
        join([*_HARNESS, *command]),
        "code=$?",
        f'{join([*_HARNESS, "end-job", job_id])} "$code"',
        'exit "$code"',
    )
    return "\n".join(lines)
