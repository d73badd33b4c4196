"""The commands that move rows between people: their words, their options, their help."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.commands.options import end

transfer_app = typer.Typer()


@transfer_app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar.zst", help="Where to write it.")],
    sweep: Annotated[
        str | None, typer.Option(help="Only what was trained for this sweep, and measured of it.")
    ] = None,
) -> None:
    """Write the workspace's rows and artifacts into one file, for others to import."""
    from harness.cli.actions.share import export as run

    end(run(file, sweep))


@transfer_app.command(name="import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.tar.zst", help="What `harness export` wrote.")
    ],
) -> None:
    """Take in the rows and artifacts of another workspace that are not here yet; twice makes no doubles."""
    from harness.cli.actions.share import import_file as run

    run(file)


@transfer_app.command()
def import_published(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="With the columns model, precision, device, threads, latency_ms, accuracy, source and dated.",
        ),
    ],
) -> None:
    """Take in latencies from papers and READMEs, to set one's own beside; they are kept apart from measured ones."""
    from harness.cli.actions.share import import_published as run

    run(file)
