"""CIFAR-10: 60,000 real 32x32 colour images of animals and vehicles (Krizhevsky 2009).

This module reads its "python version": batches of 10,000 images, each a pickled dictionary.
See cs.toronto.edu/~kriz/cifar.html.
"""

import io
import pickle
import tarfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.data.dataset import Split, make_split
from harness.data.downloads import Edition, PublishedDataset

# The archive's hash is the one in Keras (tf_keras/src/datasets/cifar10.py).
# The batches' hashes are those that several other projects pin.
_ARCHIVE = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
}
_BATCH_HASHES = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
}
_BATCHES = {f"cifar-10-batches-py/{name}": sha256 for name, sha256 in _BATCH_HASHES.items()}
_ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that allows arrays and built-in types only.

    A pickle can otherwise call any function.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a batch of CIFAR-10")
        return super().find_class(module, name)


def decode_batches(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Decode training and test set; the last batch is the test set.

    An image is stored as all its red values, then green, then blue, each row by row.
    """
    batches = [_ArraysOnly(io.BytesIO(content), encoding="bytes").load() for content in contents]
    images = [batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for batch in batches]
    labels = [np.array(batch[b"labels"], np.uint8) for batch in batches]
    train = make_split(np.concatenate(images[:-1]), np.concatenate(labels[:-1]))
    return train, make_split(images[-1], labels[-1])


def decode_archive(contents: Sequence[bytes]) -> tuple[Split, Split]:
    (content,) = contents
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return decode_batches([_read_member(archive, name) for name in _BATCHES])


def _read_member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file.read()


PUBLISHED = PublishedDataset(
    "cifar10",
    10,
    folder="cifar10",
    editions=(Edition(_BATCHES, decode_batches), Edition(_ARCHIVE, decode_archive)),
    url="https://www.cs.toronto.edu/~kriz",
)
