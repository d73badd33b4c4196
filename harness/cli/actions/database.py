"""The implementation of `harness db`."""

from harness.store.database import HEAD, close_database, describe_url, open_database
from harness.store.files.workspace import Workspace


def describe_database() -> str:
    return describe_url(Workspace.from_environment().database_url)


def upgrade_database() -> str:
    close_database(open_database(Workspace.from_environment().database_url))
    return f"The database is at schema {HEAD}."
