"""The entry point of `harness`, and its exit codes.

Exit codes:

- 0: All is done.
- 1: A case or trial failed; the rest is stored.
- 2: The request was wrong; nothing was started.
- 130: The command was interrupted, by Ctrl-C, SIGTERM, or a terminal that was closed.

The commands are imported only after the signals are caught, as that takes a while.
"""

import atexit
import codecs
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

TYPE_CHECKING = False  # importing it from `typing` takes as long as all else before the handlers
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import NoReturn

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GOODBYE = "Interrupted. Finished work is stored; run the same command again to continue."
_SHOW_CURSOR = b"\x1b[?25h"  # a live table hides it
_interrupted: list[int] = []  # received signals


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP.

    Click would turn a KeyboardInterrupt into a failure, hence a class of our own.
    """


def main() -> "NoReturn":
    atexit.register(_ignore_signals)  # the first that is registered is the last to run
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup`
            signal.signal(number, _interrupt)
    sys.unraisablehook = _handle_unraisable
    codecs.register_error("harness", _encode_outside_text)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="harness")
    try:
        _run()
    except Interrupted:
        _end(_GOODBYE, INTERRUPTED)
    except SystemError:  # raised by a C extension that was interrupted
        if not _interrupted:
            raise
        _end(_GOODBYE, INTERRUPTED)


def _encode_outside_text(error: UnicodeError) -> "tuple[str | bytes, int]":
    """Give bytes of a path back as they are, and replace what no encoding has."""
    assert isinstance(error, UnicodeEncodeError)
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return "?", error.end


def _run() -> "NoReturn":
    from harness.cli.commands.main import app
    from harness.core.errors import HarnessError, RequestError

    try:
        app()
        sys.exit(0)
    except RequestError as error:
        _end(f"error: {error}", 2)
    except HarnessError as error:
        _end(f"error: {error}", 1)
    except BrokenPipeError:  # the reader, perhaps `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> "NoReturn":
    """Let the command clean up at the first signal; end the process at once at the second.

    End it at once during an import, too: Python may drop an exception that is raised there, or turn
    it into another.
    """
    if _interrupted or _is_importing(frame):
        _exit_at_once()
    _interrupted.append(number)
    raise Interrupted


def _ignore_signals() -> None:
    """Ignore the signals: the work is done, and Python would now let them end it without a word."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load":  # importlib's own
            return True
        frame = frame.f_back
    return False


def _handle_unraisable(unraisable: "UnraisableHookArgs") -> None:
    """End an interrupted process if the interrupt was raised where Python drops exceptions.

    Such places are finalizers and callbacks.
    """
    if isinstance(unraisable.exc_value, Interrupted):
        _exit_at_once()
    sys.__unraisablehook__(unraisable)


def _exit_at_once() -> "NoReturn":
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    os.write(sys.stderr.fileno(), f"{_GOODBYE}\n".encode())
    os._exit(INTERRUPTED)


def _end(message: str, code: int) -> "NoReturn":
    if os.environ.get("HARNESS_VERBOSE"):
        import traceback

        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(code)
