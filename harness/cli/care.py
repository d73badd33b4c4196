"""`harness doctor` and `harness db`."""

import typer

from harness.cli.app import app
from harness.cli.session import DEVICES_FILE, DevicesFile, Session, console
from harness.pipeline.doctor import examine
from harness.report.tables import table

db_app = typer.Typer(help="The database itself.", no_args_is_help=True)
app.add_typer(db_app, name="db")


@app.command()
def doctor(devices: DevicesFile = DEVICES_FILE) -> None:
    """Look whether everything is here that training, converting and benchmarking need; say what to do about the rest."""
    findings = examine(Session.here().workspace, devices)
    shown = table("check", "", "finding")
    for finding in findings:
        shown.add_row(finding.check, "ok" if finding.ok else "missing" if finding.needed else "absent", finding.text)
    console().print(shown)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)


@db_app.command()
def path() -> None:
    """Print where the database is, without its password."""
    from sqlalchemy.engine import make_url

    url = make_url(Session.here().workspace.database_url)
    typer.echo(url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True))


@db_app.command()
def upgrade() -> None:
    """Make the database, or bring it to this version's schema; an older SQLite file is copied first."""
    from harness.store.database import HEAD

    Session.here().engine.dispose()
    typer.echo(f"The database is at schema {HEAD}.")
