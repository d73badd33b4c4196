"""Artifact files, named by their SHA-256 and never changed."""

import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from uuid import uuid4

from harness.core.errors import CaseFailed, Reason, WorkspaceError
from harness.core.ids import sha256_of, sha256_of_file


class FileState(Enum):
    INTACT = "intact"
    MISSING = "missing"
    CORRUPT = "corrupt"


class ArtifactFiles:
    """A folder of artifact files. Several processes may write the same file at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.tflite"

    def save(self, content: bytes) -> str:
        """Save an artifact and return its SHA-256; a corrupt file of that name is replaced."""
        sha256 = sha256_of(content)
        if self.state(sha256) is not FileState.INTACT:
            write_atomically(self.path(sha256), content)
        return sha256

    def save_probe(self, sha256: str, content: bytes) -> None:
        """Save what the artifact answers to a few images, beside the artifact."""
        write_atomically(self._probe_path(sha256), content)

    def probe(self, sha256: str) -> bytes | None:
        path = self._probe_path(sha256)
        return path.read_bytes() if path.is_file() else None

    def _probe_path(self, sha256: str) -> Path:
        return self.path(sha256).with_suffix(".probe.npz")

    def save_values(self, content: bytes) -> str:
        """Save the values of a model's input, and return their SHA-256."""
        sha256 = sha256_of(content)
        write_atomically(self._values_path(sha256), content)
        return sha256

    def find_values(self, sha256: str) -> Path:
        """Return the path of intact values. Raises CaseFailed (hash_mismatch) for any others."""
        path = self._values_path(sha256)
        if (state := _check_file(path, sha256)) is not FileState.INTACT:
            raise CaseFailed(
                Reason.HASH_MISMATCH,
                f"the values {path} of an input are {state.value}; bench with --input-file again.",
            )
        return path

    def _values_path(self, sha256: str) -> Path:
        return self.path(sha256).with_suffix(".values")

    def state(self, sha256: str) -> FileState:
        return _check_file(self.path(sha256), sha256)

    def verify(self, sha256: str) -> Path:
        """Return the path of an intact file. Raises CaseFailed (hash_mismatch) for any other."""
        if (state := self.state(sha256)) is not FileState.INTACT:
            message = (
                f"artifact {sha256[:12]}…: its file {self.path(sha256)} is {state.value}; "
                "submit its sweep again to rebuild it."
            )
            raise CaseFailed(Reason.HASH_MISMATCH, message)
        return self.path(sha256)


def _check_file(path: Path, sha256: str) -> FileState:
    if not path.is_file():
        return FileState.MISSING
    return FileState.INTACT if sha256_of_file(path) == sha256 else FileState.CORRUPT


def write_atomically(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file under a temporary name and rename it, so that it is never seen incomplete.

    Raises WorkspaceError if the folder cannot be written or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WorkspaceError(
            f"{path.parent}: cannot be written: {error.strerror}; "
            "free some space, or set HARNESS_HOME to a folder that you may write to."
        ) from error
