"""The work of `harness submit sweep --detach`."""

import os
import platform
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote
from urllib.parse import parse_qs, urlsplit

from harness.cli.actions.bench import chosen_devices
from harness.cli.actions.jobs import log_of, refresh
from harness.cli.actions.session import Session, console
from harness.config.sweep_file import read_sweep
from harness.core.errors import RequestError
from harness.store.database import now
from harness.store.rows.jobs import JobRow
from harness.sweep.trials import build_sweep
from harness.training import ray_jobs

_JOB = "HARNESS_JOB"
_SETTINGS = (
    "HARNESS_DATA",
    "HARNESS_DEVICES",
    "HARNESS_DATABASE_URL",
    "HARNESS_VERBOSE",
    "PGPASSFILE",
    "PYTHONPATH",
)
_HARNESS = (sys.executable, "-m", "harness")


def detach(
    file: Path,
    settings: Sequence[str],
    bench: bool,
    fleet: bool,
    address: str | None,
    registry: Path,
    mlflow: str | None,
) -> None:
    """Hands the command over to Ray once it is known to make sense, and says how to follow it."""
    planned = build_sweep(read_sweep(file, settings))
    if bench:
        chosen_devices(registry, fleet, ids=[], tags=[])
    session = Session.here()
    _refuse_secret(
        "HARNESS_DATABASE_URL",
        session.workspace.database_url,
        elsewhere="~/.pgpass, or the file of PGPASSFILE",
    )
    _refuse_secret("--mlflow", mlflow or "", elsewhere="~/.mlflow/credentials")
    changes = [word for setting in settings for word in ("--set", setting)]
    wishes = [option for option, wanted in (("--bench", bench), ("--fleet", fleet)) if wanted]
    logged = ["--mlflow", mlflow] if mlflow is not None else []
    asked = [*changes, *wishes, *logged]
    command = (
        "submit",
        "sweep",
        str(file),
        *asked,
        "--devices",
        str(registry),
        "--address",
        "auto",
    )
    job = _hand_over(session, planned.name, file=file, command=command, address=address)
    console().print(
        f"{planned.name} runs as {job.id} on {job.node}, also when this shell has ended; its output is in "
        f"{log_of(session, job.id)}.\nTo follow it: harness status --follow",
        soft_wrap=True,
    )


def _refuse_secret(name: str, address: str, elsewhere: str) -> None:
    url = urlsplit(address)
    if url.password or "password" in parse_qs(url.query):
        raise RequestError(
            f"{name}: holds a password, and --detach would show it in Ray's list of jobs; put it into {elsewhere}."
        )


def _hand_over(
    session: Session, sweep: str, file: Path, command: Sequence[str], address: str | None
) -> JobRow:
    with ray_jobs.lock_cluster():
        refuse_second(session, sweep)
        server = ray_jobs.ensure_cluster(address)
        job = JobRow(
            f"job-{secrets.token_hex(4)}",
            sweep,
            file=str(file),
            node=platform.node(),
            server=server,
            submitted_at=now(),
        )
        log_of(session, job.id).parent.mkdir(exist_ok=True)
        log_of(session, job.id).touch()
        session.jobs.add(job)  # before: its end is noted there
        try:
            ray_jobs.submit_job(server, job.id, script=_script(session, job.id, command=command))
        except RequestError:
            session.jobs.delete(job.id)
            raise
    return job


def refuse_second(session: Session, sweep: str) -> None:
    """Two that train one sweep in one workspace would train the same trials. A job does not refuse itself."""
    refresh(session)
    for job in session.jobs.list_active():
        if job.sweep == sweep and job.id != os.environ.get(_JOB):
            raise RequestError(
                f"{sweep}: is under way already, as {job.id} on {job.node}; follow it with `harness status --follow`."
            )


def _script(session: Session, job_id: str, command: Sequence[str]) -> str:
    """For a POSIX shell. It outlives a polite kill of the command, to note how that ended."""
    settings = {**{name: os.environ.get(name) for name in _SETTINGS}, _JOB: job_id}
    settings["HARNESS_HOME"] = str(session.workspace.home)
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
