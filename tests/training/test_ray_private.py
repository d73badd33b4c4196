"""Ray still has the private names that `ray_private` uses, and they still do what it needs.

No cluster is started. A failure here after an upgrade of Ray names what to change in
`harness/training/ray_private.py`.
"""

import inspect
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import requests
from ray.job_submission import JobSubmissionClient

from harness.training import ray_private

TIMED_OUT_S = 0.2

PRINT_WHETHER_A_TOKEN_IS_USED = """
import ray
from harness.training import ray_private

ray_private.use_token_if_available()
print(ray._raylet.get_authentication_mode() == ray._raylet.AuthenticationMode.TOKEN)
"""


def find(module: str, name: str) -> Callable[..., Any]:
    """Return a private function of Ray; fail with advice if Ray has moved it."""
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(
            f"Ray {version('ray')} has no {module}.{name} any more: "
            "find its replacement for harness/training/ray_private.py."
        )
    assert callable(function)
    return function  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "name", "args", "kwargs"),
    [
        ("ray._private.worker", "print_to_stdstream", ({},), {"ignore_prefix": False}),
        ("ray._private.utils", "set_sigterm_handler", (print,), {}),
        ("ray.air._internal.usage", "tag_callbacks", ([],), {}),
        ("ray._private.services", "canonicalize_bootstrap_address_or_die", ("auto",), {}),
        (
            "ray._private.authentication.authentication_token_setup",
            "maybe_enable_token_auth_if_token_available",
            (),
            {"warn_if_disabled": False},
        ),
        ("ray.dashboard.utils", "ray_address_to_api_server_url", ("127.0.0.1:6379",), {}),
    ],
)
def test_ray_has_each_function_and_it_takes_our_arguments(
    module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    signature = inspect.signature(find(module, name))
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        pytest.fail(
            f"{module}.{name}{signature} of Ray {version('ray')} is called differently: {error}. "
            "Change the call in harness/training/ray_private.py."
        )


def test_ray_prints_errors_of_workers_through_the_function_that_we_replace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_errors = find("ray._private.worker", "listen_error_messages")
    print_errors(*worker_with_error("a worker died"))
    assert "a worker died" in capsys.readouterr().out, "Ray reports errors in another way now"

    with ray_private.silence_worker_errors():
        print_errors(*worker_with_error("another worker died"))
    printed = capsys.readouterr()
    assert printed.out + printed.err == "", (
        f"Ray {version('ray')} no longer calls ray._private.worker.print_to_stdstream: "
        "find what it calls for harness/training/ray_private.py."
    )

    print_errors(*worker_with_error("a third worker died"))
    assert "a third worker died" in capsys.readouterr().out, "the printer is restored"


def worker_with_error(message: str) -> tuple[Any, threading.Event]:
    """Return what Ray's listener reads: a worker with one error, and the event that ends it."""
    stopped = threading.Event()
    job_id = ray.JobID.nil()

    def poll() -> tuple[bytes, dict[str, Any]]:
        stopped.set()
        return b"", {"job_id": job_id.binary(), "error_message": message}

    subscriber = SimpleNamespace(subscribe=lambda: None, poll=poll)
    return SimpleNamespace(gcs_error_subscriber=subscriber, current_job_id=job_id), stopped


def test_ray_handles_sigterm_through_the_function_that_we_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: list[Callable[..., None]] = []
    monkeypatch.setattr("ray._private.utils.set_sigterm_handler", handlers.append)
    fail_to_start_ray()
    assert len(handlers) == 1, (
        f"ray.init of Ray {version('ray')} no longer calls ray._private.utils.set_sigterm_handler: "
        "find what it calls for harness/training/ray_private.py."
    )

    with ray_private.keep_sigterm_handler():
        fail_to_start_ray()
    assert len(handlers) == 1, "the handler that Ray sets is dropped"


def fail_to_start_ray() -> None:
    """Call `ray.init` with an option that it refuses once it has set its handler of SIGTERM."""
    with pytest.raises(RuntimeError, match="no_such_option"):
        ray.init(address="local", no_such_option=True)


@pytest.mark.parametrize(("mode", "uses_token"), [("token", True), ("disabled", False)])
def test_a_token_is_used_unless_the_user_has_disabled_it(mode: str, *, uses_token: bool) -> None:
    """Ray keeps the first mode for as long as a process lives, so each has its own."""
    ended = subprocess.run(
        [sys.executable, "-c", PRINT_WHETHER_A_TOKEN_IS_USED],
        env=os.environ | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "0" * 32},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == [str(uses_token)]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accept connections and never answer; yield the server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_client_gives_up_on_a_server_that_never_answers(silent_server: str) -> None:
    assert "_do_request" in dir(JobSubmissionClient), (
        f"JobSubmissionClient of Ray {version('ray')} has no _do_request any more: "
        "set the timeout in another way in harness/training/ray_private.py."
    )
    with pytest.raises(requests.Timeout):
        ray_private.connect_to_jobs_server(silent_server, TIMED_OUT_S)


def test_the_ray_command_is_a_module_with_the_options_that_we_give() -> None:
    python, flag, module = ray_private.RAY_COMMAND
    assert (python, flag) == (sys.executable, "-m")
    scripts = import_module(module)
    options = set().union(*(parameter.opts for parameter in scripts.start.params))
    assert options >= {"--head", "--block", "--disable-usage-stats", "--temp-dir", "--port"}
    assert options >= {"--dashboard-port", "--dashboard-agent-listen-port"}
    assert "get-auth-token" in scripts.cli.commands


def test_no_other_module_uses_private_names_of_ray(repository: Path) -> None:
    private = re.compile(r"\bray\._|\bray\.(dashboard|scripts)\b|from ray import _|\._do_request\b")
    package = repository / "harness"
    modules = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if private.search(file.read_text())
    }
    assert modules == {"training/ray_private.py"}, "move the use into ray_private"
