"""A process of its own that builds forms: the only one of a search that needs TensorFlow."""

import multiprocessing
import os
import signal
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TypeAlias

from harness.core.errors import Reason, TrialFailed
from harness.core.forms import Form
from harness.core.sweep import Failure
from harness.training.bugs import describe_bug

Built: TypeAlias = bytes | Failure
"""A form's untrained artifact, or why there is none."""

_KILLED = "The process that built {} ended; often memory ran out."


class FormBuilder:
    """A context in which forms are built, one after the other.

    The process starts with the first form, and again after a form that killed it. It trains
    nothing and uses no GPU. Leaving the context ends it at once; forms that wait are cancelled.
    """

    def __enter__(self) -> "FormBuilder":
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forms")
        self._process: _BuildingProcess | None = None
        self._closed = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process:
            self._process.kill()
        self._thread.shutdown()

    def build(self, form: Form) -> "Future[Built]":
        """Build a form, after those that were requested before."""
        return self._thread.submit(self._build, form)

    def _build(self, form: Form) -> Built:
        if self._process is None:
            self._process = _BuildingProcess()
            if self._closed:  # the context ended while the process started
                self._process.kill()
        try:
            return self._process.build(form)
        except (EOFError, OSError):
            self._process.kill()
            self._process = None
            return Failure(Reason.KILLED, _KILLED.format(form))


class _BuildingProcess:
    """A process that answers each form with its artifact or a failure."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of threads and Ray would hang
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen here

    def build(self, form: Form) -> Built:
        """Raise EOFError or OSError if the process ends meanwhile."""
        self._connection.send(form)
        built: Built = self._connection.recv()
        return built

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this one
    if not os.environ.get("HARNESS_VERBOSE"):
        _silence()
    from harness.training.trial import warm_up

    warm_up(threads=1, use_gpu=False)
    while True:
        try:
            form = connection.recv()
        except EOFError:  # the parent has ended
            return
        connection.send(_try_to_build(form))


def _silence() -> None:
    """Discard what TensorFlow and its converter print, which would mix with the parent's tables."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _try_to_build(form: Form) -> Built:
    from harness.training.untrained import build_untrained

    try:
        return build_untrained(form)
    except TrialFailed as failure:
        return Failure(failure.reason, str(failure), log=traceback.format_exc())
    except (Exception, SystemExit) as error:  # noqa: BLE001  (anything that the user's code raises)
        message = describe_bug(form.architecture, error)
        return Failure(Reason.BUG, message, log=traceback.format_exc())
