"""`harness`: the commands, and how they end.

Exit codes: 0 all done; 1 some case or trial failed, the rest is stored;
2 the request itself was wrong, nothing was started.
"""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer

from harness import __version__
from harness.core.errors import HarnessError, RequestError

INTERRUPTED = 130

app = typer.Typer(
    help="Which variant of my binarized network is best on which device?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the cause of an error, traceback and all.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, help="Show the version and end.", is_eager=True)
    ] = False,
) -> None:
    if verbose:
        os.environ["HARNESS_VERBOSE"] = "1"


class Interrupted(BaseException):
    """Ctrl-C or a polite kill; not a KeyboardInterrupt, which the command-line library would turn into a failure."""


def main() -> NoReturn:
    from harness.cli import commands  # noqa: F401  (each registers itself)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
        sys.exit(0)
    except Interrupted:
        _end("Interrupted: what is done is kept, and the same command goes on from here.", INTERRUPTED)
    except RequestError as error:
        _end(f"error: {error}", 2)
    except HarnessError as error:
        _end(f"error: {error}", 1)
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _end(message: str, code: int) -> NoReturn:
    if os.environ.get("HARNESS_VERBOSE"):
        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(code)
