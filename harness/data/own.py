"""The user's own data set: a .npz file, or a folder of images."""

from contextlib import suppress
from pathlib import Path

from harness.core.errors import DataUnavailable
from harness.core.ids import canonical_json, sha256_of, sha256_of_file
from harness.data import image_folder, npz
from harness.data.dataset import Dataset

_SHOWN_DIGITS = 12


def is_path(dataset: str) -> bool:
    """Whether a path is meant rather than a name."""
    return "/" in dataset or dataset.endswith(".npz")


def located(dataset: str) -> Path:
    """Where it lies; relative to the folder that the process runs in. Raises DataUnavailable."""
    path = Path(dataset)
    with suppress(RuntimeError):  # the home of somebody who is not known here
        path = path.expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".npz"):
        return path.resolve()
    what = (
        "is neither a folder nor a .npz file"
        if path.exists()
        else f"is not there, seen from {Path.cwd()}"
    )
    raise DataUnavailable(f"{path}: {what}; give the path of a .npz file or of a folder of images.")


def identify(path: Path) -> str:
    """`<stem>@<12 digits>` of the SHA-256 of the file, or of the folder's images and where in it they lie.

    Wherever the same content lies, it is the same data set. Raises DataUnavailable where a file is not as it has to be,
    or a folder is not by its names alone, and OSError.
    """
    if path.is_dir():
        return _named(path.name, sha256_of(canonical_json(image_folder.hashes(path)).encode()))
    npz.check(path)
    return _named(path.stem, sha256_of_file(path))


def _named(stem: str, sha256: str) -> str:
    return f"{stem}@{sha256[:_SHOWN_DIGITS]}"


def load(path: Path, name: str) -> Dataset:
    """Raises DataUnavailable where it is not as it has to be."""
    return image_folder.load(path, name) if path.is_dir() else npz.load(path, name)
