"""Options that several commands have, and how a command ends."""

from pathlib import Path
from typing import Annotated

import typer

DevicesFile = Annotated[
    Path, typer.Option("--devices", envvar="HARNESS_DEVICES", help="The registry of devices.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done; train and measure nothing.")
]


def end(failed: int) -> None:
    raise typer.Exit(1 if failed else 0)
