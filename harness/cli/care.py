"""The work of `harness doctor` and `harness db`."""

from pathlib import Path

from harness.cli.session import Session, console
from harness.pipeline.doctor import examine
from harness.report.tables import add, table
from harness.store.database import HEAD, shown


def doctor(registry: Path) -> int:
    """How many needed things are missing."""
    findings = examine(Session.here().workspace, registry)
    shown = table("check", "", "finding")
    for finding in findings:
        add(shown, finding.check, "ok" if finding.ok else "missing" if finding.needed else "absent", finding.text)
    console().print(shown)
    return sum(finding.needed and not finding.ok for finding in findings)


def database_path() -> str:
    return shown(Session.here().workspace.database_url)


def upgrade_database() -> str:
    Session.here().engine.dispose()
    return f"The database is at schema {HEAD}."
