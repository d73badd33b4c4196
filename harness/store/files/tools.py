"""Benchmark tools that were added: programs below `tools/`, each named by its SHA-256.

Of several tools with one name, the newest is used.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import RequestError
from harness.core.ids import sha256_of, sha256_of_file
from harness.store.files.artifacts import write_atomically


@dataclass(frozen=True)
class ToolFile:
    """A program that was added under a name; `added` is in seconds since 1970."""

    name: str
    sha256: str
    path: Path
    size_bytes: int
    added: float


class ToolFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, content: bytes) -> ToolFile:
        """Save a program under a name. Raises RequestError for an invalid name."""
        if not name or "/" in name or name.startswith("."):
            raise RequestError(
                f"tool {name!r}: choose a name without slashes that does not start with a dot."
            )
        path = self._folder / name / sha256_of(content)
        write_atomically(path, content, mode=0o700)
        return _describe_file(path)

    def list_all(self) -> list[ToolFile]:
        """Return all tools, sorted by name; the newest of each name comes last."""
        tools = (_describe_file(path) for path in self._folder.glob("[!.]*/[!.]*"))
        return sorted(tools, key=lambda tool: (tool.name, tool.added))

    def newest_by_name(self) -> dict[str, ToolFile]:
        return {tool.name: tool for tool in self.list_all()}

    def is_intact(self, tool: ToolFile) -> bool:
        return sha256_of_file(tool.path) == tool.sha256


def _describe_file(path: Path) -> ToolFile:
    status = path.stat()
    return ToolFile(
        path.parent.name, path.name, path=path, size_bytes=status.st_size, added=status.st_mtime
    )
