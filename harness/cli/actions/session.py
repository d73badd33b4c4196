"""Objects that the commands share: the workspace with its stores, and the console."""

import atexit
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console

from harness.core.errors import CaseFailed, Reason
from harness.store.database import close_database, open_database, open_upgraded
from harness.store.files.artifacts import ArtifactFiles
from harness.store.files.checkpoints import CheckpointFiles
from harness.store.files.tools import ToolFiles
from harness.store.files.workspace import Workspace
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.forms import FormRows
from harness.store.rows.history import History
from harness.store.rows.jobs import JobRows
from harness.store.rows.leases import Leases
from harness.store.rows.observations import ObservationRows
from harness.store.rows.running import RunningRows
from harness.store.rows.searches import SearchRows
from harness.store.rows.trials import TrialRows

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LOG_WIDTH = 160


def make_console() -> Console:
    """Return a console for standard output; for a file or a pipe, one wide enough for tables."""
    return Console(
        highlight=False,
        markup=False,
        emoji=False,
        width=None if sys.stdout.isatty() else _LOG_WIDTH,
    )


def print_failure(failure: CaseFailed) -> None:
    """Print a failure's sentence to standard error; with --verbose, a bug's traceback, too."""
    print(failure, file=sys.stderr)
    print_traceback(failure)


def print_traceback(failure: CaseFailed) -> None:
    """Print the traceback of a bug to standard error if --verbose was given."""
    if failure.reason is Reason.BUG and os.environ.get("HARNESS_VERBOSE"):
        print(failure.log, file=sys.stderr)


@dataclass(frozen=True)
class Session:
    """A command's access to the workspace, its database and its files."""

    workspace: Workspace

    @classmethod
    def from_environment(cls) -> "Session":
        """Return a session that is closed when the process ends, however the command ended."""
        session = cls(Workspace.from_environment())
        atexit.register(session.close)
        return session

    def close(self) -> None:
        """Close the databases that are open. A SQLite file alone then holds every row."""
        for name in ("reader", "engine"):
            if (engine := vars(self).pop(name, None)) is not None:
                close_database(engine)

    @cached_property
    def engine(self) -> "Engine":
        return open_database(self.workspace.database_url)

    @cached_property
    def reader(self) -> "Engine":
        """The database, read-only. Raises WorkspaceError if it is missing or has another schema."""
        return open_upgraded(self.workspace.database_url)

    @property
    def trials(self) -> TrialRows:
        return TrialRows(self.engine)

    @property
    def forms(self) -> FormRows:
        return FormRows(self.engine)

    @property
    def searches(self) -> SearchRows:
        return SearchRows(self.engine)

    @property
    def running(self) -> RunningRows:
        return RunningRows(self.engine)

    @property
    def jobs(self) -> JobRows:
        return JobRows(self.engine)

    @property
    def cases(self) -> CaseRows:
        return CaseRows(self.engine)

    @property
    def history(self) -> History:
        return History(self.engine)

    @property
    def devices(self) -> DeviceRows:
        return DeviceRows(self.engine)

    @property
    def leases(self) -> Leases:
        return Leases(self.engine)

    @property
    def observations(self) -> ObservationRows:
        return ObservationRows(self.engine)

    @property
    def tools(self) -> ToolFiles:
        return ToolFiles(self.workspace.tools)

    @property
    def files(self) -> ArtifactFiles:
        return ArtifactFiles(self.workspace.artifacts)

    @property
    def checkpoints(self) -> CheckpointFiles:
        return CheckpointFiles(self.workspace.checkpoints)
