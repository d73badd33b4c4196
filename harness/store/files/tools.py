"""Tools that were added: programs below `tools/`, each kept by its SHA-256. The newest of a name is the one in use."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from harness.core.errors import RequestError
from harness.core.ids import sha256_of, sha256_of_file


@dataclass(frozen=True)
class ToolFile:
    """`added` in seconds since 1970."""

    name: str
    sha256: str
    path: Path
    size_bytes: int
    added: float


class ToolFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, content: bytes) -> ToolFile:
        """Keeps a program under a name. Raises RequestError for a name that is none."""
        if not name or "/" in name or name.startswith("."):
            raise RequestError(f"tool {name!r}: a tool's name has no slash, and no dot in front.")
        path = self._folder / name / sha256_of(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid4().hex}")
        partial.write_bytes(content)
        partial.chmod(0o700)
        partial.replace(path)
        os.utime(path, (time.time(), time.time()))
        return _tool_file(path)

    def list_all(self) -> list[ToolFile]:
        """The newest of each name last."""
        found = (_tool_file(path) for path in self._folder.glob("[!.]*/[!.]*"))
        return sorted(found, key=lambda tool: (tool.name, tool.added))

    def newest_by_name(self) -> dict[str, ToolFile]:
        return {tool.name: tool for tool in self.list_all()}

    def is_intact(self, tool: ToolFile) -> bool:
        return sha256_of_file(tool.path) == tool.sha256


def _tool_file(path: Path) -> ToolFile:
    about = path.stat()
    return ToolFile(
        path.parent.name, path.name, path=path, size_bytes=about.st_size, added=about.st_mtime
    )
