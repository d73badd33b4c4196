"""The command `harness schema`, for editors that complete and check keys."""

from enum import Enum
from typing import Annotated

import typer

schema_app = typer.Typer()


class SchemaName(str, Enum):
    """The kinds of files that have a schema."""

    SWEEP = "sweep"
    DEVICES = "devices"


@schema_app.command()
def schema(
    name: Annotated[
        SchemaName, typer.Argument(help="sweep (jobs/*.yaml) or devices (devices.yaml).")
    ],
) -> None:
    """Print the JSON Schema of a sweep file or of devices.yaml, for your editor."""
    from harness.cli.actions.schema import print_schema

    print_schema(name.value)
