"""The only module that uses private names of Ray.

Ray may move or change them in any release. `tests/training/test_ray_private.py` then fails and
names the one that changed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RAY_COMMAND = (sys.executable, "-m", "ray.scripts.scripts")
"""The `ray` command of this Python; it has no public module, and may not be on PATH."""


@contextmanager
def silence_worker_errors() -> Iterator[None]:
    """Keep Ray from printing errors of its workers; the harness reports them as events.

    `ray.init(log_to_driver=False)` silences the workers' output only. No public option silences the
    thread that prints their errors.
    """
    import ray

    printer = ray._private.worker.print_to_stdstream
    ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None
    try:
        yield
    finally:
        ray._private.worker.print_to_stdstream = printer


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Keep Ray from handling SIGTERM in this process: it would end the process without a word."""
    from ray._private import utils

    setter = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = setter


@contextmanager
def skip_callback_census() -> Iterator[None]:
    """Keep Tune from counting callbacks for Ray's usage statistics, which the harness turns off.

    To tell their kinds apart, it imports MLflow if that is installed: that takes a second. No
    public option turns the count off.
    """
    from ray.air._internal import usage

    census = usage.tag_callbacks
    usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = census


def find_cluster() -> str:
    """Return the address, HOST:PORT, of the cluster that Ray means by `auto`.

    Raises ConnectionError if no cluster, or more than one, runs on this machine. Public functions
    find the cluster only by joining it.
    """
    from ray._private.services import canonicalize_bootstrap_address_or_die

    return str(canonicalize_bootstrap_address_or_die("auto"))


def use_token_if_available() -> None:
    """Authenticate this process with the user's Ray token, if there is one.

    `ray.init` does this by itself, but no public function does it for a process that only submits
    jobs.
    """
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def resolve_jobs_server(address: str) -> str:
    """Return the URL of the jobs server of the cluster at HOST:PORT.

    The public `JobSubmissionClient` resolves an address only while it connects, without a timeout.
    """
    from ray.dashboard.utils import ray_address_to_api_server_url

    return str(ray_address_to_api_server_url(address))


def connect_to_jobs_server(server: str, timeout_s: float) -> Any:
    """Return a `JobSubmissionClient` whose requests each fail after `timeout_s` seconds.

    The public client takes no timeout, so that it would wait for ever.
    """
    from ray.job_submission import JobSubmissionClient

    class ClientWithTimeout(JobSubmissionClient):  # type: ignore[misc]  # Ray ships no types
        def _do_request(self, *args: Any, **kwargs: Any) -> Any:
            return super()._do_request(*args, **kwargs, timeout=timeout_s)

    return ClientWithTimeout(server)
