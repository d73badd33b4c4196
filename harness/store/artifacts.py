"""Artifact files, named by their SHA-256 and never changed."""

import os
from enum import Enum
from pathlib import Path
from uuid import uuid4

from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of, sha256_of_file


class FileState(Enum):
    WHOLE = "whole"
    MISSING = "missing"
    CORRUPT = "corrupt"


class ArtifactFiles:
    """A folder of them; two harnesses may write the same file at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.tflite"

    def save(self, content: bytes) -> str:
        """Writes under a temporary name first, and over a file that is not what its name says."""
        sha256 = sha256_of(content)
        if self.state(sha256) is not FileState.WHOLE:
            path = self.path(sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{uuid4().hex}")
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return sha256

    def state(self, sha256: str) -> FileState:
        path = self.path(sha256)
        if not path.is_file():
            return FileState.MISSING
        return FileState.WHOLE if sha256_of_file(path) == sha256 else FileState.CORRUPT

    def whole(self, sha256: str) -> Path:
        """The file, its content checked. Raises CaseFailed: hash_mismatch."""
        if (state := self.state(sha256)) is not FileState.WHOLE:
            message = (
                f"artifact {sha256[:12]}…: its file {self.path(sha256)} is {state.value}; "
                "submit its sweep again to make it anew."
            )
            raise CaseFailed(Reason.HASH_MISMATCH, message)
        return self.path(sha256)
