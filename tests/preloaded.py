"""The command in forks of a process that has imported it, as imports take most of a short bench."""

import os
import sys
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.harness_cli import Cli

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["__main__", __name__, "harness.cli.actions.bench", "harness.devices.ssh"]
)


def start_preloaded(cli: Cli, *arguments: str | Path, output: Path) -> BaseProcess:
    """Start the command in a process of its own, which writes all that it prints to `output`."""
    process = _CONTEXT.Process(
        target=_run, args=([*map(str, arguments)], cli.environment, output), daemon=True
    )
    process.start()
    return process


def _run(arguments: list[str], environment: dict[str, str], output: Path) -> None:
    from harness.cli.app import main

    with output.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["harness", *arguments]
    main()
