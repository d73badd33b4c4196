"""The workspace: the folder `HARNESS_HOME`, or `.harness` in the current folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.ids import content_id

if TYPE_CHECKING:
    from sqlalchemy import URL

HOME_VARIABLE = "HARNESS_HOME"
DATABASE_VARIABLE = "HARNESS_DATABASE_URL"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Workspace:
    home: Path

    @classmethod
    def from_environment(cls) -> "Workspace":
        return cls(Path(os.environ.get(HOME_VARIABLE) or ".harness").absolute())

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def checkpoints(self) -> Path:
        return self.home / "checkpoints"

    @property
    def tools(self) -> Path:
        return self.home / "tools"

    def device_folder(self, device_id: str) -> Path:
        """Return a local device's working folder, inside the workspace whatever the id contains."""
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", device_id)[:40]
        return self.home / "devices" / f"{readable}-{content_id(device_id)[:8]}"

    @property
    def database_url(self) -> "str | URL":
        return os.environ.get(DATABASE_VARIABLE) or sqlite_url(self.home / "harness.db")


def sqlite_url(file: Path) -> "URL":
    """Return the URL of a SQLite file. It is not a string, since a path may hold any character."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(file))


def format_path(path: Path | str) -> str:
    """Return a path as one line of text that a database takes.

    Bytes that are not UTF-8 are replaced, and control characters are escaped, as in `\\n`.
    """
    text = os.fsencode(path).decode(errors="replace")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def db_folder() -> Path:
    """Return `db/`, which is beside the package in a checkout and inside it in a wheel."""
    inside = Path(__file__).parents[2] / "_db"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "db"
