"""The commands `harness report` and `harness dashboard`."""

import os
import sys
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from harness.core.errors import RequestError
from harness.store.files.workspace import HOME_VARIABLE, Workspace, format_path

report_app = typer.Typer()


@report_app.command()
def report(
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    sweep: Annotated[str | None, typer.Option(help="Report only this sweep.")] = None,
    device: Annotated[str | None, typer.Option(help="Report only this device.")] = None,
) -> None:
    """Write an HTML page with figures, conditions, and the commands to reproduce them."""
    _need("report", "pandas", "plotly", "jinja2")
    from harness.cli.actions.ask import save
    from harness.report.page.content import read_content
    from harness.report.page.page import render_page

    html = render_page(
        read_content(None, sweep, device=device),
        name_of(Workspace.from_environment()),
        made_at=datetime.now(timezone.utc),
    )
    save(out, html.encode())
    typer.echo(f"{out}: open it in a browser; it needs no other file.")


@report_app.command()
def dashboard(
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- OPTION...]", help="Options for JupyterLab, for example -- --no-browser."
        ),
    ] = None,
) -> None:
    """Open the notebooks of dashboards/ in JupyterLab, with this workspace."""
    _need("dashboard", "pandas", "plotly", "jupyterlab")
    environment = {**os.environ, HOME_VARIABLE: str(Workspace.from_environment().home)}
    argv = [sys.executable, "-m", "jupyterlab", str(dashboards_folder()), *(options or [])]
    os.execve(sys.executable, argv, environment)  # noqa: S606  (this process becomes JupyterLab's)


def name_of(workspace: Workspace) -> str:
    """Return the workspace's folder name; of a hidden folder such as `.harness`, its parent's."""
    home = workspace.home
    return format_path(home.parent.name if home.name.startswith(".") else home.name)


def dashboards_folder() -> Path:
    """Return `dashboards/`: next to the package in a checkout, inside it in a wheel."""
    packaged = Path(__file__).parents[2] / "_dashboards"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "dashboards"


def _need(command: str, *libraries: str) -> None:
    if missing := [name for name in libraries if find_spec(name) is None]:
        raise RequestError(
            f"harness {command} needs {', '.join(missing)}: "
            "run `pip install 'bnn-harness[dashboards]'`."
        )
