"""The IDX format, in which MNIST and Fashion-MNIST were published.

A file consists of two zero bytes, the type, the number of dimensions, the sizes and the values.
Each size has four bytes, big-endian (LeCun, Cortes and Burges, "The MNIST database").
"""

import gzip
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Split, make_split
from harness.data.downloads import Edition

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MAGIC = bytes((0, 0, 8))  # 8: unsigned bytes
_MAX_DIMENSIONS = 32  # of a numpy array


def edition(*sha256s: str) -> Edition:
    """Return the edition of the four FILES, by the SHA-256 of each without gzip.

    So the compression level does not matter.
    """
    return Edition(dict(zip(FILES, sha256s, strict=True)), _decode, unpack=gzip.decompress)


def _decode(contents: Sequence[bytes]) -> tuple[Split, Split]:
    train_images, train_labels, test_images, test_labels = map(parse, contents)
    return make_split(train_images[..., np.newaxis], train_labels), make_split(
        test_images[..., np.newaxis], test_labels
    )


def parse(content: bytes) -> NDArray[np.uint8]:
    """Parse an IDX file of unsigned bytes. Raises ValueError if the content is anything else."""
    rank = content[3] if len(content) > 3 else 0
    start = 4 + 4 * rank
    if content[:3] != _MAGIC or rank > _MAX_DIMENSIONS or len(content) < start:
        raise ValueError("not an IDX file of unsigned bytes")
    sizes = [int(size) for size in np.frombuffer(content, ">u4", rank, 4)]
    if len(content) - start != prod(sizes):
        raise ValueError(f"its {len(content)} bytes do not match its header")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
