"""The entry point of `harness`, and its exit codes.

Exit codes:

- 0: All is done.
- 1: A case or trial failed; the rest is stored.
- 2: The request was wrong; nothing was started.
- 130: The command was interrupted.
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
_GOODBYE = "Interrupted. Finished work is stored; run the same command again to continue."
_interrupted: list[int] = []  # received signals


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM.

    Click would turn a KeyboardInterrupt into a failure, hence a class of our own.
    """


def main() -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
        sys.exit(0)
    except Interrupted:
        _end(_GOODBYE, INTERRUPTED)
    except SystemError:  # raised by a C extension that was interrupted
        if not _interrupted:
            raise
        _end(_GOODBYE, INTERRUPTED)
    except RequestError as error:
        _end(f"error: {error}", 2)
    except HarnessError as error:
        _end(f"error: {error}", 1)
    except BrokenPipeError:  # the reader, perhaps `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Let the command clean up at the first signal; end the process at once at the second."""
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
