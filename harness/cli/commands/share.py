"""The commands that move results between workspaces."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.commands.options import end

transfer_app = typer.Typer()


@transfer_app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar.zst", help="The file to write.")],
    sweep: Annotated[str | None, typer.Option(help="Export only this sweep.")] = None,
) -> None:
    """Write the rows and artifacts of this workspace into one file."""
    from harness.cli.actions.share import export as run

    end(run(file, sweep))


@transfer_app.command(name="import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.tar.zst", help="A file from `harness export`.")
    ],
) -> None:
    """Add the rows and artifacts of another workspace, except those that exist already."""
    from harness.cli.actions.share import import_file as run

    run(file)


@transfer_app.command()
def import_published(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Columns: model, precision, device, threads, latency_ms, accuracy, source, dated.",
        ),
    ],
) -> None:
    """Add latencies from papers and READMEs, which are stored apart from measured ones."""
    from harness.cli.actions.share import import_published as run

    run(file)
