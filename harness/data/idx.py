"""The IDX format, in which MNIST and Fashion-MNIST were published.

Two zero bytes, the type, the number of dimensions, each size as four bytes big-endian, the values
(LeCun, Cortes and Burges, "The MNIST database").
"""

import gzip
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Split, split_of
from harness.data.downloads import Edition

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MAGIC = bytes((0, 0, 8))  # 8: unsigned bytes
_MOST_DIMENSIONS = 32  # of a numpy array


def edition(*sha256s: str) -> Edition:
    """The four FILES, by their SHA-256 without gzip: however they were packed, they are the same."""
    return Edition(dict(zip(FILES, sha256s, strict=True)), _decode, unpack=gzip.decompress)


def _decode(contents: Sequence[bytes]) -> tuple[Split, Split]:
    train_images, train_labels, test_images, test_labels = map(parse, contents)
    return split_of(train_images[..., np.newaxis], train_labels), split_of(
        test_images[..., np.newaxis], test_labels
    )


def parse(content: bytes) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes as an array of its own shape. Raises ValueError where it is none."""
    rank = content[3] if len(content) > 3 else 0
    start = 4 + 4 * rank
    if content[:3] != _MAGIC or rank > _MOST_DIMENSIONS or len(content) < start:
        raise ValueError("is no IDX file of bytes")
    sizes = [int(size) for size in np.frombuffer(content, ">u4", rank, 4)]
    if len(content) - start != prod(sizes):
        raise ValueError(f"holds {len(content)} bytes, not what its header says")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
