"""Checkpoints of trainings in progress, from which an interrupted one continues."""

from pathlib import Path

from harness.store.files.artifacts import write_atomically

_SUFFIX = ".npz"


class CheckpointFiles:
    """A folder of checkpoint files. The key of each is `TRAINING-PRECISION`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, key: str, content: bytes) -> None:
        write_atomically(self._folder / f"{key}{_SUFFIX}", content)

    def load(self, trainings: set[str]) -> dict[str, bytes]:
        """Return the checkpoints of the trainings, by key."""
        checkpoints = {}
        for training in trainings:
            for path in self._files(training):
                checkpoints[path.stem] = path.read_bytes()
        return checkpoints

    def delete(self, training: str) -> None:
        for path in self._files(training):
            path.unlink(missing_ok=True)

    def _files(self, training: str) -> list[Path]:
        return sorted(self._folder.glob(f"{training}-*{_SUFFIX}"))
