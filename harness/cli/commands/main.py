"""Every command: its words, its options, its help. Each imports what does the work only when it is called,
so that `--help` waits for no database, and a query for no training.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from harness import __version__
from harness.cli.commands.devices import devices_app, tools_app
from harness.cli.commands.options import DevicesFile, DryRun, end
from harness.cli.commands.report import report_app
from harness.cli.commands.schema import schema_app
from harness.cli.commands.share import transfer_app
from harness.core.bench import PROTOCOLS
from harness.core.comparison import METRICS
from harness.core.device import DEVICES_FILE
from harness.report.export.files import FORMATS

app = typer.Typer(
    help="Which variant of my binarized network is best on which device?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
submit_app = typer.Typer(help="Train what is missing of a sweep.", no_args_is_help=True)
db_app = typer.Typer(help="The database itself.", no_args_is_help=True)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the cause of an error, traceback and all.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, help="Show the version and end.", is_eager=True
        ),
    ] = False,
) -> None:
    if verbose:
        os.environ["HARNESS_VERBOSE"] = "1"


@submit_app.callback()
def _submit() -> None:
    """Train what is missing of a sweep."""


@submit_app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep file, for example jobs/quickstart.yaml.")],
    bench: Annotated[
        bool,
        typer.Option(
            "--bench", help="Benchmark the artifacts when they are made, on this machine."
        ),
    ] = False,
    fleet: Annotated[
        bool,
        typer.Option("--fleet", help="Benchmark them on every enabled device of the registry."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override any key of the file."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster; without it Ray is started on this machine."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Let a Ray cluster on this machine run it, also when this shell has ended.",
        ),
    ] = False,
    mlflow: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Log each trial as a run of MLflow too, for example sqlite:///mlflow.db.",
        ),
    ] = None,
    dry_run: DryRun = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Train, convert and evaluate the trials of a sweep that are not there yet, and benchmark them if asked."""
    if detach and not dry_run:
        from harness.cli.actions.detach import detach as run

        run(
            file,
            settings or [],
            bench=bench or fleet,
            fleet=fleet,
            address=address,
            registry=devices,
            mlflow=mlflow,
        )
        return
    from harness.cli.actions.submit import submit

    end(
        submit(
            file,
            settings or [],
            bench=bench or fleet,
            fleet=fleet,
            address=address,
            dry_run=dry_run,
            registry=devices,
            mlflow=mlflow,
        )
    )


app.add_typer(submit_app, name="submit")


@app.command()
def bench(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[MODEL.tflite]...", help="Model files of your own."),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(help="The artifacts of this sweep's finished trials.")
    ] = None,
    fleet: Annotated[
        bool,
        typer.Option(
            "--fleet", help="Every enabled device of the registry; without it, this machine."
        ),
    ] = False,
    device: Annotated[
        list[str] | None, typer.Option(help="A device by its id; may be given more than once.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Every enabled device with this tag; may be given more than once."),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(help="Thread counts, for example 1,4; without it, each device's own, or 1."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help=f"How to measure: {', '.join(PROTOCOLS)}, or one of them with settings: quick,processes=20,target=1%."
        ),
    ] = "standard",
    force: Annotated[
        bool, typer.Option("--force", help="Measure again what has been measured.")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for a device that someone else uses.")
    ] = 3600.0,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Note each operator's time too: `harness query op_profile`."
        ),
    ] = False,
    check_answers: Annotated[
        bool,
        typer.Option(
            "--check-answers",
            help="Hold the device's answers against those here once more; the first time is usual.",
        ),
    ] = False,
    reparse: Annotated[
        bool,
        typer.Option(
            "--reparse", help="Only read again what tools printed in the past; ask no device."
        ),
    ] = False,
    dry_run: DryRun = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Benchmark artifacts on devices; what has been measured under the same protocol is not measured again."""
    from harness.cli.actions.bench import Way, chosen_devices, protocols_asked
    from harness.cli.actions.bench import bench as run

    if reparse:
        from harness.cli.actions.reparse import reparse_all
        from harness.core.errors import RequestError

        if models or sweep or fleet or device or tag:
            raise RequestError(
                "--reparse reads all that was ever printed: give it no models, sweep or devices."
            )
        end(reparse_all())
    wanted = chosen_devices(devices, fleet, ids=device or [], tags=tag or [])
    way = Way(
        protocols_asked(protocol, threads or "1"),
        threads is not None,
        force=force,
        dry_run=dry_run,
        wait_s=wait,
        profile=profile,
        check_answers=check_answers,
    )
    end(run(models or [], sweep, chosen=wanted, way=way))


@app.command()
def lint(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|SWEEP", help="A .tflite file, or a sweep file: jobs/quickstart.yaml."
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override any key of the sweep file."),
    ] = None,
) -> None:
    """Say which layers could be faster with Larq Compute Engine, what they cost and what to change; train nothing."""
    from harness.cli.actions.lint import lint_file

    end(lint_file(file, settings or []))


def _query_names() -> list[tuple[str, str]]:
    """For the shell's completion."""
    from harness.store.queries import load_named_queries

    return [(one.name, one.purpose) for one in load_named_queries().values()]


@app.command()
def query(
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME | SQL]",
            help="A named query, or a SELECT; without it, the named ones are listed.",
            autocompletion=_query_names,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A parameter of a named query, for example device=pi4."
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help=f"One of {', '.join(FORMATS)}; json is one object a line.")
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help="Rows at most, 0 for all; without it 1,000 in a table, 1,000,000 in a file."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds that it may take, 0 for as long as it does.")
    ] = 60.0,
) -> None:
    """Ask the database; read-only, whatever the SQL says."""
    from harness.cli.actions.ask import query as run

    run(question, param or [], format=format, out=out, limit=limit, timeout=timeout)


@app.command()
def compare(
    baseline: Annotated[
        str,
        typer.Argument(
            help="A precision, a trial, an artifact (the start of its id is enough), or a model file's name."
        ),
    ],
    candidate: Annotated[str, typer.Argument(help="What is held against it.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(METRICS)}; may be given more than once."),
    ] = None,
    fail_on_regression: Annotated[
        str | None,
        typer.Option(
            metavar="PCT",
            help="End with code 1 where the candidate is worse by more than this, for example 3%.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="table, or for CI: junit (XML) or markdown (as GitHub renders it).")
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Hold a candidate against a baseline, device by device; of two precisions, twin by twin."""
    from harness.cli.actions.compare import compare as run

    end(
        run(
            baseline,
            candidate,
            metrics=metric or ["latency", "size", "accuracy"],
            fail_on_regression=fail_on_regression,
            format=format,
            out=out,
        )
    )


@app.command()
def status(
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Print what the newest job says, until it is over; end as it ended."
        ),
    ] = False,
) -> None:
    """What was submitted, the devices and what waits for them, and what failed and why."""
    if follow:
        from harness.cli.actions.jobs import follow as run_on

        end(run_on())
    from harness.cli.actions.ask import status as run

    run()


@app.command(hidden=True)
def end_job(job: str, code: int) -> None:
    """What a detached command does last: note how it ended."""
    from harness.cli.actions.jobs import end_job as run

    run(job, code)


@app.command()
def doctor(devices: DevicesFile = DEVICES_FILE) -> None:
    """Look whether everything is here that training, converting and benchmarking need;
    say what to do about the rest.
    """
    from harness.cli.actions.doctor import doctor as run

    end(run(devices))


@db_app.command()
def path() -> None:
    """Print where the database is, without its password."""
    from harness.cli.actions.doctor import database_path

    typer.echo(database_path())


@db_app.command()
def upgrade() -> None:
    """Make the database, or bring it to this version's schema; an older SQLite file is copied first."""
    from harness.cli.actions.doctor import upgrade_database

    typer.echo(upgrade_database())


app.add_typer(devices_app, name="devices")
app.add_typer(tools_app, name="tools")
app.add_typer(db_app, name="db")
app.add_typer(transfer_app)
app.add_typer(report_app)
app.add_typer(schema_app)
