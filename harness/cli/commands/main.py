"""The `harness` command and most of its commands.

Each command imports its implementation only when it is called, so `--help` loads no database
library, and a query loads no training library.
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
    help="Find the best variant of a binarized network for each device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
submit_app = typer.Typer(help="Train the models of a sweep.", no_args_is_help=True)
db_app = typer.Typer(help="Manage the database.", no_args_is_help=True)


def _show_version(*, is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, help="Show the version and exit.", is_eager=True
        ),
    ] = False,
) -> None:
    if verbose:
        os.environ["HARNESS_VERBOSE"] = "1"


@submit_app.callback()
def _submit() -> None:
    """Train the models of a sweep."""


@submit_app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep file, for example jobs/quickstart.yaml.")],
    *,
    bench: Annotated[
        bool,
        typer.Option(
            "--bench",
            help="Measure on the devices that a search asks, else here once training is over.",
        ),
    ] = False,
    fleet: Annotated[
        bool,
        typer.Option(
            "--fleet",
            help="Benchmark each artifact on every enabled device as soon as it is trained.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key of the sweep file; repeatable."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Use this running Ray cluster instead of starting Ray on this machine."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Run the sweep in the background, as a job of a Ray cluster on this machine.",
        ),
    ] = False,
    mlflow: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Also log each trial to MLflow, for example to sqlite:///mlflow.db.",
        ),
    ] = None,
    dry_run: DryRun = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="With --dry-run: measure untrained networks of a search on its devices, and "
            "show which points are feasible.",
        ),
    ] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Train the trials that are missing, then convert, evaluate and optionally benchmark them."""
    if measure:
        from harness.cli.actions.measure_search import measure_search

        end(measure_search(file, settings or [], registry=devices, dry_run=dry_run))
        return
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
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Benchmark these .tflite files, or the untrained Keras models that functions "
            "return, each given as module:function.",
        ),
    ] = None,
    *,
    sweep: Annotated[
        str | None, typer.Option(help="Benchmark the artifacts of this sweep's finished trials.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Also measure what the sweep's training, in another shell, has yet to finish.",
        ),
    ] = False,
    fleet: Annotated[
        bool,
        typer.Option("--fleet", help="Use every enabled device instead of this machine."),
    ] = False,
    device: Annotated[
        list[str] | None, typer.Option(help="Use the device with this id; repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Use every enabled device with this tag; repeatable."),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            help="Thread counts, for example 1,4; by default those of the device's entry, or 1."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(PROTOCOLS)}, or one with settings: quick,processes=20,target=1%."
        ),
    ] = "standard",
    force: Annotated[
        bool, typer.Option("--force", help="Also measure cases that were already measured.")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="Wait so many seconds for a device that is in use.")
    ] = 3600.0,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Also time each operator, for `harness query op_profile`."),
    ] = False,
    check_answers: Annotated[
        bool,
        typer.Option(
            "--check-answers",
            help="Re-check the device's outputs even if they were already verified.",
        ),
    ] = False,
    reparse: Annotated[
        bool,
        typer.Option("--reparse", help="Parse all stored tool logs again; use no device."),
    ] = False,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:SIZES",
            help="The shape of an input that has no fixed size, as image:1,224,224,3; repeatable.",
        ),
    ] = None,
    input_range: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:LOW,HIGH",
            help="The least and the largest value of an input, as words:0,99; repeatable.",
        ),
    ] = None,
    input_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:FILE",
            help="The values of an input: a .npy file, or raw little-endian values; repeatable.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter of the module:function, as units=64; repeatable.",
        ),
    ] = None,
    dry_run: DryRun = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Benchmark artifacts on devices, except cases that were already measured."""
    from harness.cli.actions.bench import BenchOptions, parse_protocols, select_bench_devices
    from harness.cli.actions.bench import bench as run
    from harness.conversion.inputs import parse_choices

    choices = parse_choices(input_shape or [], input_range or [], files=input_file or [])
    if reparse:
        from harness.cli.actions.reparse import reparse_all
        from harness.core.errors import RequestError

        if models or sweep or fleet or device or tag or choices.names or settings:
            raise RequestError(
                "--reparse parses all stored logs: give it no models, sweep, devices or inputs."
            )
        end(reparse_all())
    selection = select_bench_devices(devices, fleet=fleet, ids=device or [], tags=tag or [])
    bench_options = BenchOptions(
        parse_protocols(protocol, threads or "1"),
        threads_given=threads is not None,
        force=force,
        dry_run=dry_run,
        wait_s=wait,
        profile=profile,
        check_answers=check_answers,
        choices=choices,
        settings=settings or [],
    )
    if follow:
        from harness.cli.actions.bench import follow as follow_training

        end(follow_training(models or [], sweep, selection=selection, options=bench_options))
    end(run(models or [], sweep, selection=selection, options=bench_options))


@app.command()
def lint(
    file: Annotated[
        Path,
        typer.Argument(metavar="MODEL|SWEEP", help="A .tflite file or a sweep file."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key of the sweep file; repeatable."
        ),
    ] = None,
) -> None:
    """List the layers that could be faster with Larq Compute Engine, and what to change."""
    from harness.cli.actions.lint import lint_file

    end(lint_file(file, settings or []))


def _query_names() -> list[tuple[str, str]]:
    """Return the names and purposes of the named queries, for shell completion."""
    from harness.store.queries import load_named_queries

    return [(entry.name, entry.purpose) for entry in load_named_queries().values()]


@app.command()
def query(
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME | SQL]",
            help="A named query or a SELECT; without it, list the named queries.",
            autocompletion=_query_names,
        ),
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="[VALUE]",
            help="The first parameter of a named query, as in `harness query search NAME`.",
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter of a named query, for example device=pi4; repeatable.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help=f"{', '.join(FORMATS)}; json has one object per line.")
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Maximum number of rows, 0 for all; by default 1,000 (table) or 1,000,000 (file).",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Stop the query after so many seconds; 0 for never.")
    ] = 60.0,
) -> None:
    """Query the database; it is opened read-only."""
    from harness.cli.actions.ask import query as run

    run(question, value, settings=param or [], format=format, out=out, limit=limit, timeout=timeout)


@app.command()
def compare(
    baseline: Annotated[
        str,
        typer.Argument(help="A precision, a model file's name, or (the start of) an id."),
    ],
    candidate: Annotated[str, typer.Argument(help="The same, to compare with the baseline.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(METRICS)}; repeatable."),
    ] = None,
    fail_on_regression: Annotated[
        str | None,
        typer.Option(
            metavar="PCT",
            help="Exit with code 1 if the candidate is worse by more than this, for example 3%.",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(help="table, json (one object a line), or for CI: junit (XML) or markdown."),
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Compare a candidate with a baseline on each device; two precisions twin by twin."""
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
    *,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Follow the newest job until it ends; without one, show what is under way.",
        ),
    ] = False,
) -> None:
    """Show sweeps, jobs, devices with their queues, and failures with their reasons."""
    if follow:
        from harness.cli.actions.jobs import follow as follow_work

        end(follow_work())
    from harness.cli.actions.ask import status as run

    run()


@app.command(hidden=True)
def end_job(job: str, code: int) -> None:
    """Store how a detached command ended."""
    from harness.cli.actions.jobs import end_job as run

    run(job, code)


@app.command()
def doctor(devices: DevicesFile = DEVICES_FILE) -> None:
    """Check that everything needed for training, converting and benchmarking is installed."""
    from harness.cli.actions.doctor import doctor as run

    end(run(devices))


@db_app.command()
def path() -> None:
    """Print the location of the database, without its password."""
    from harness.cli.actions.database import describe_database

    typer.echo(describe_database())


@db_app.command()
def upgrade() -> None:
    """Create the database or upgrade its schema; an older SQLite file is copied first."""
    from harness.cli.actions.database import upgrade_database

    typer.echo(upgrade_database())


app.add_typer(devices_app, name="devices")
app.add_typer(tools_app, name="tools")
app.add_typer(db_app, name="db")
app.add_typer(transfer_app)
app.add_typer(report_app)
app.add_typer(schema_app)
