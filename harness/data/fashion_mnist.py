"""Fashion-MNIST: 70,000 real 28x28 images of clothes (Xiao, Rasul and Vollgraf 2017).

Taken from a folder of the four IDX files where there is one, else fetched by Keras's downloader.
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable
from harness.data.dataset import Dataset, Split, digest, scaled
from harness.data.folders import DATA_VARIABLE, folder_of, offline

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_FOLDER = "fashion-mnist"
SHA256 = "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f"  # of the four arrays, in FILES' order
_IDX_HEADER_BYTES = 4
_IDX_UBYTE = 8
_MOST_DIMENSIONS = 32  # of a numpy array

Bytes = NDArray[np.uint8]


def load() -> Dataset:
    """Raises DataUnavailable where it is neither here nor to be fetched, or is another edition."""
    arrays = _from_folder(folder_of(_FOLDER)) or _downloaded()
    if (found := digest(*arrays)) != SHA256:
        raise DataUnavailable(
            f"fashion_mnist: the files hold other data than the published set (SHA-256 {found[:12]}…, "
            f"not {SHA256[:12]}…); put the original four IDX files into ${DATA_VARIABLE}/{_FOLDER}."
        )
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset("fashion_mnist", 10, _split(train_images, train_labels), _split(test_images, test_labels))


def _split(images: Bytes, labels: Bytes) -> Split:
    return Split(scaled(images[..., np.newaxis], 255), labels.astype(np.int64))


def _from_folder(folder: Path) -> tuple[Bytes, ...] | None:
    if all((folder / name).is_file() for name in FILES):
        return tuple(read_idx(folder / name) for name in FILES)
    return None


def _downloaded() -> tuple[Bytes, ...]:
    from harness.data.downloader import fashion_mnist

    if offline():
        raise DataUnavailable(_nowhere(f"is not in {folder_of(_FOLDER)}"))
    try:
        (train_images, train_labels), (test_images, test_labels) = fashion_mnist()
    except Exception as error:
        raise DataUnavailable(_nowhere("is not on this machine and could not be fetched")) from error
    return train_images, train_labels, test_images, test_labels


def _nowhere(what: str) -> str:
    return (
        f"fashion_mnist {what}; put {', '.join(FILES)} into ${DATA_VARIABLE}/{_FOLDER}, "
        f"or unset {DATA_VARIABLE} and install Debian's dataset-fashion-mnist."
    )


def read_idx(path: Path) -> Bytes:
    """An IDX file of unsigned bytes, gzipped, as an array of its own shape. Raises DataUnavailable where it is none.

    Format: two zero bytes, the type, the number of dimensions, each size as four bytes big-endian, the values
    (LeCun, Cortes and Burges, "The MNIST database").
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataUnavailable(f"{path}: is no whole gzip file; fetch it again.") from error
    if len(content) < _IDX_HEADER_BYTES or content[:3] != bytes((0, 0, _IDX_UBYTE)):
        raise DataUnavailable(f"{path}: is no IDX file of bytes; fetch it again.")
    rank = content[3]
    start = _IDX_HEADER_BYTES + 4 * rank
    if rank > _MOST_DIMENSIONS or len(content) < start:
        raise DataUnavailable(f"{path}: has a header that can't be true; fetch it again.")
    sizes = [int(size) for size in np.frombuffer(content, ">u4", rank, _IDX_HEADER_BYTES)]
    if len(content) - start != prod(sizes):
        raise DataUnavailable(f"{path}: holds {len(content)} bytes, not what its header says; fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
