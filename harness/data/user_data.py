"""The user's own data set: a .npz file, or a folder of images."""

from contextlib import suppress
from pathlib import Path

from harness.core.errors import DataUnavailable
from harness.core.ids import canonical_json, sha256_of, sha256_of_file
from harness.data import image_folder, npz
from harness.data.dataset import Dataset

_HASH_DIGITS = 12


def is_path(dataset: str) -> bool:
    """Tell if the text means a path rather than a name."""
    return "/" in dataset or dataset.endswith(".npz")


def locate(dataset: str) -> Path:
    """Return the absolute path; a relative one starts at the working directory.

    Raises DataUnavailable if it is neither a folder nor a .npz file.
    """
    path = Path(dataset)
    with suppress(RuntimeError):  # ~name of an unknown user
        path = path.expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".npz"):
        return path.resolve()
    problem = (
        "neither a folder nor a .npz file"
        if path.exists()
        else f"does not exist (working directory {Path.cwd()})"
    )
    raise DataUnavailable(
        f"{path}: {problem}; give the path of a .npz file or of a folder of images."
    )


def identify(path: Path) -> str:
    """Return `<stem>@<12 digits>`, where the digits are the start of a SHA-256.

    It is the hash of the file, or of a folder's images and their paths in it.
    The same content is the same data set, wherever it is stored.
    Raises DataUnavailable if a file's content or a folder's file names are wrong, and OSError.
    """
    if path.is_dir():
        image_hashes = canonical_json(image_folder.hash_images(path))
        return _format_name(path.name, sha256_of(image_hashes.encode()))
    npz.check(path)
    return _format_name(path.stem, sha256_of_file(path))


def _format_name(stem: str, sha256: str) -> str:
    return f"{stem}@{sha256[:_HASH_DIGITS]}"


def load(path: Path, name: str) -> Dataset:
    """Load the data set. Raises DataUnavailable if its content is wrong."""
    return image_folder.load(path, name) if path.is_dir() else npz.load(path, name)
