"""Options that several commands share, and the end of a command."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

DevicesFile = Annotated[
    Path,
    typer.Option("--devices", envvar="HARNESS_DEVICES", help="Read the devices from this file."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan; train and measure nothing.")
]


def end(failures: int) -> NoReturn:
    """End the command with code 1 if anything failed, else with code 0."""
    raise typer.Exit(1 if failures else 0)
