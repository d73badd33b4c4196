"""`harness`: where it starts, and how it ends.

Exit codes: 0 all done; 1 some case or trial failed, the rest is stored;
2 the request itself was wrong, nothing was started.
"""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from harness.cli.commands.main import app
from harness.core.errors import HarnessError, RequestError

INTERRUPTED = 130
_GOODBYE = "Interrupted: what is done is kept, and the same command goes on from here."
_interrupted: list[int] = []  # the signals that came


class Interrupted(BaseException):
    """Ctrl-C or a polite kill; not a KeyboardInterrupt, which the command-line library would turn into a failure."""


def main() -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
        sys.exit(0)
    except Interrupted:
        _end(_GOODBYE, INTERRUPTED)
    except SystemError:  # a C extension that was interrupted says it this way
        if not _interrupted:
            raise
        _end(_GOODBYE, INTERRUPTED)
    except RequestError as error:
        _end(f"error: {error}", 2)
    except HarnessError as error:
        _end(f"error: {error}", 1)
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """The first time things are put in order; the second time the process ends at once."""
    if _interrupted:
        os.write(sys.stderr.fileno(), f"{_GOODBYE}\n".encode())
        os._exit(INTERRUPTED)
    _interrupted.append(number)
    raise Interrupted


def _end(message: str, code: int) -> NoReturn:
    if os.environ.get("HARNESS_VERBOSE"):
        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(code)
