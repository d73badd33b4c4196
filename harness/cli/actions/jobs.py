"""Detached sweeps, which run as jobs of a Ray cluster: their states and their output."""

import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from harness.cli.actions.session import Session, make_console
from harness.cli.actions.watch import watch_work
from harness.core.errors import RequestError, WorkspaceError
from harness.report.terminal.tables import tabulate
from harness.store.queries import load_named_queries
from harness.store.reading import run_query
from harness.store.rows.jobs import DONE, FAILED, LOST, STOPPED, JobRow
from harness.training import ray_jobs

_LOST = "Ray has ended or lost the job; submit the sweep again to continue."
_STATES = {0: DONE, 130: STOPPED, 143: STOPPED}  # by exit code: after Ctrl-C or SIGTERM
_PAUSE_S = 2.0
_MAX_JOBS = 10
_NUMBERS = ("done", "failed", "trials")


def log_of(session: Session, job_id: str) -> Path:
    return session.workspace.home / "logs" / f"{job_id}.log"


def end_job(job_id: str, code: int) -> None:
    """Store how a job ended, and leave its cluster; the last step of the job."""
    session = Session.from_environment()
    job = session.jobs.get(job_id)
    if job is None:
        raise RequestError(f"Unknown job {job_id} in the workspace {session.workspace.home}.")
    state = _STATES.get(code, FAILED)
    lines = log_of(session, job_id).read_text(errors="replace").strip().splitlines()
    message = lines[-1] if lines and state == FAILED else ""
    session.jobs.update_state(job_id, state, message=message)
    with ray_jobs.lock_cluster():
        ray_jobs.leave_cluster(job.server, job_id)


def refresh_jobs(session: Session) -> list[str]:
    """Ask Ray about this machine's unfinished jobs and store what became of them.

    Return a sentence for each cluster that did not answer; its jobs keep their last known states.
    """
    active = _select_local(session.jobs.list_active())
    problems = []
    for server in sorted({job.server for job in active}):
        listing = ray_jobs.list_jobs(server)
        if listing.problem:
            problems.append(_describe_problem(server, listing.problem))
            continue
        try:
            _store_states(session, [job for job in active if job.server == server], listing=listing)
        except WorkspaceError as error:
            problems.append(f"Job states may be outdated: {error}")
    return problems


def _store_states(session: Session, jobs: Sequence[JobRow], listing: ray_jobs.JobList) -> None:
    for job in jobs:
        current = listing.jobs.get(job.id, ray_jobs.RayJob(LOST, _LOST))
        session.jobs.update_state(job.id, current.state, message=current.message)


def _describe_problem(server: str, reason: str) -> str:
    return (
        f"Job states unknown: the Ray cluster at {server} did not answer ({reason}); "
        "the table shows their last known states."
    )


def _select_local(jobs: Sequence[JobRow]) -> list[JobRow]:
    return [job for job in jobs if job.node == platform.node()]


def print_jobs(out: Console, session: Session) -> None:
    problems = refresh_jobs(session)
    sweep_rows = {
        row["sweep"]: row
        for row in run_query(session.reader, load_named_queries()["sweeps"].sql).records()
    }
    rows = [
        (
            job.id,
            job.sweep,
            job.submitted_at,
            job.state,
            *_read_counts(sweep_rows.get(job.sweep)),
            job.message,
        )
        for job in session.jobs.list_latest(_MAX_JOBS)
    ]
    if rows:
        out.print("\nJobs:")
        out.print(tabulate(("job", "sweep", "submitted", "state", *_NUMBERS, "message"), rows))
    for problem in problems:
        out.print(problem, soft_wrap=True, markup=False)


def _read_counts(sweep_row: dict[str, object] | None) -> tuple[object, ...]:
    return tuple(sweep_row[name] if sweep_row else 0 for name in _NUMBERS)


def follow() -> int:
    """Follow the newest job of this machine, or without jobs the work under way.

    Print the output of the job until it ends, and return 0 if it succeeded. A running job takes
    precedence over a newer one that has ended.
    """
    session = Session.from_environment()
    refresh_jobs(session)
    jobs = _select_local((*session.jobs.list_active(), *session.jobs.list_latest(_MAX_JOBS)))
    if not jobs:
        return watch_work(session)
    job, out = jobs[0], make_console()
    out.print(f"{job.id} of {job.sweep}, submitted at {job.submitted_at}, is {job.state}.")
    for line in _read_output(session, job.id):
        print(line, end="", flush=True)
    ended = session.jobs.get(job.id) or job
    out.print(
        f"{ended.id} is {ended.state}." + (f" {ended.message}" if ended.state == LOST else "")
    )
    return 0 if ended.state == DONE else 1


def _read_output(session: Session, job_id: str) -> Iterator[str]:
    """Yield the lines of the job's log until the job ends."""
    with log_of(session, job_id).open(errors="replace") as file:
        while _is_running(session, job_id):
            yield from file
            time.sleep(_PAUSE_S)
        yield from file


def _is_running(session: Session, job_id: str) -> bool:
    refresh_jobs(session)
    job = session.jobs.get(job_id)
    return job is not None and job.is_active
