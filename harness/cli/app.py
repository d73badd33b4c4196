"""The entry point of `harness`, and its exit codes.

Exit codes:

- 0: All is done.
- 1: A case or trial failed; the rest is stored.
- 2: The request was wrong; nothing was started.
- 130: The command was interrupted, by Ctrl-C, SIGTERM, or a terminal that was closed.

The commands are imported only after the signals are caught, as that takes a while.
"""

import _thread
import atexit
import codecs
import os
import signal
import sys
import time
from io import TextIOWrapper
from types import FrameType

TYPE_CHECKING = False  # importing it from `typing` takes as long as all else before the handlers
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import NoReturn, TextIO

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAKING_SIGNAL = signal.SIGURG  # nothing else uses it
_PATIENCE_S = 0.1  # most signals are handled long before
_GOODBYE = "Interrupted. Finished work is stored; run the same command again to continue."
_SHOW_CURSOR = b"\x1b[?25h"  # a live table hides it
_interrupted: list[int] = []  # received signals


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP.

    Click would turn a KeyboardInterrupt into a failure, hence a class of our own.
    """


def main() -> "NoReturn":
    atexit.register(_ignore_signals)  # the first that is registered is the last to run
    _catch_signals()
    sys.unraisablehook = _handle_unraisable
    codecs.register_error("harness", _encode_outside_text)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="harness")
    try:
        _run()
    except Interrupted:
        _end(_GOODBYE, INTERRUPTED)
    except Exception:
        if not _interrupted:
            raise
        _end(_GOODBYE, INTERRUPTED)  # a C extension or a lock turned the interrupt into an error


def _catch_signals() -> None:
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup`
            signal.signal(number, _interrupt)
    signal.signal(_WAKING_SIGNAL, lambda _number, _frame: None)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _thread.start_new_thread(_wake_main_thread, (reader, _thread.get_ident()))


def _wake_main_thread(reader: int, main_thread: int) -> None:
    """Interrupt whatever the main thread waits for, until it has handled a signal that came.

    Python handles signals between two instructions of the main thread. A signal that arrives just
    before this thread waits for a lock would be handled only after the wait, which may never end.
    """
    while True:
        (number,) = os.read(reader, 1)
        is_waiting = number in _SIGNALS
        while is_waiting:
            time.sleep(_PATIENCE_S)
            signal.pthread_kill(main_thread, _WAKING_SIGNAL)
            is_waiting = not _interrupted


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
        _discard(sys.stdout)
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
    try:
        print(message, file=sys.stderr)
    except OSError:  # the terminal or the reader is gone
        _discard(sys.stderr)
    sys.exit(code)


def _discard(stream: "TextIO") -> None:
    """Let Python flush a stream that nobody reads any more, which it does at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
