"""What trainings that are under way have left to go on with, until they end."""

from pathlib import Path

from harness.store.files.artifacts import write_atomically

_SUFFIX = ".npz"


class CheckpointFiles:
    """A folder of them; each is called `TRAINING-PRECISION`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, key: str, content: bytes) -> None:
        write_atomically(self._folder / f"{key}{_SUFFIX}", content)

    def load(self, trainings: set[str]) -> dict[str, bytes]:
        """By key."""
        return {
            path.stem: path.read_bytes() for training in trainings for path in self._files(training)
        }

    def delete(self, training: str) -> None:
        for path in self._files(training):
            path.unlink(missing_ok=True)

    def _files(self, training: str) -> list[Path]:
        return sorted(self._folder.glob(f"{training}-*{_SUFFIX}"))
