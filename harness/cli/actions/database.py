"""The implementation of `harness db`."""

from harness.cli.actions.session import Session
from harness.store.database import HEAD, describe_url


def describe_database() -> str:
    return describe_url(Session.from_environment().workspace.database_url)


def upgrade_database() -> str:
    Session.from_environment().engine.dispose()
    return f"The database is at schema {HEAD}."
