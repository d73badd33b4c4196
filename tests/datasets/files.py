"""Small data sets, written in the formats of large published ones."""

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.core.ids import sha256_of
from harness.data import cifar10, idx
from harness.data.downloads import Edition, PublishedDataset

Bytes = NDArray[np.uint8]


def idx_bytes(shape: tuple[int, ...], values: bytes, magic: bytes = b"\0\0\x08") -> bytes:
    return (
        magic + bytes([len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + values
    )


def tiny_idx() -> dict[str, bytes]:
    """Return the four unpacked files: five training images of 2x3 pixels, and four test images."""
    train, test = bytes(range(30)), bytes(range(100, 124))
    contents = (
        idx_bytes((5, 2, 3), train),
        idx_bytes((5,), bytes([0, 1, 2, 1, 0])),
        idx_bytes((4, 2, 3), test),
        idx_bytes((4,), bytes([2, 2, 1, 0])),
    )
    return dict(zip(idx.FILES, contents, strict=True))


def tiny_dataset(url: str) -> PublishedDataset:
    """Return a data set of these files, published in the same form as MNIST."""
    return PublishedDataset(
        "tiny",
        3,
        folder="tiny",
        editions=(idx.edition(*map(sha256_of, tiny_idx().values())),),
        url=url,
    )


def publish(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))


class _Python2Pickler(pickle._Pickler):
    """A pickler that writes bytes like strings of Python 2, as in CIFAR-10's batches."""

    def _save_string(self: Any, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch: ClassVar[dict[type, Any]] = {**pickle._Pickler.dispatch, bytes: _save_string}


def python2_pickle(value: Any) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def cifar_batch(images: Bytes, labels: list[int]) -> bytes:
    """Encode images (n, 32, 32, 3) as a batch of CIFAR-10's python version."""
    rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    names = [b"image_%d.png" % number for number in range(len(images))]
    return python2_pickle(
        {b"batch_label": b"a batch", b"labels": labels, b"data": rows, b"filenames": names}
    )


def cifar_archive(batches: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)


def tiny_cifar10(batches: Mapping[str, bytes]) -> PublishedDataset:
    """Return CIFAR-10 with the hashes of these batches and of their archive."""
    hashes = {name: sha256_of(content) for name, content in batches.items()}
    archive = {"cifar-10-python.tar.gz": sha256_of(cifar_archive(batches))}
    editions = (Edition(hashes, cifar10.decode_batches), Edition(archive, cifar10.decode_archive))
    return PublishedDataset(
        "cifar10", 10, folder="cifar10", editions=editions, url=cifar10.PUBLISHED.url
    )


def save_image_folder(folder: Path, size: tuple[int, int] = (4, 3), mode: str = "RGB") -> Path:
    """Save train/ and test/ with two classes; all pixels of an image have its number."""
    for part in ("train", "test"):
        for number, name in enumerate(("b/1.png", "b/0.bmp", "a/x.png", "a/y.png")):
            save_image(folder / part / name, number + 10 * (part == "test"), size=size, mode=mode)
    return folder


def save_image(file: Path, value: int, size: tuple[int, int] = (4, 3), mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if len(mode) == 1 else (value, value + 100, value + 200)).save(file)


def npz_arrays(images: int = 6, **changes: Any) -> dict[str, Any]:
    """Return the arrays of a .npz file: 4x5 images of three classes."""
    pixels = np.arange(images * 20, dtype=np.uint8).reshape(images, 4, 5)
    labels = np.arange(images) % 3
    return {
        "x_train": pixels,
        "y_train": labels,
        "x_test": pixels[:3] + 1,
        "y_test": labels[:3],
        **changes,
    }


def save_npz(file: Path, **changes: Any) -> Path:
    """Save a .npz file; a change to None leaves an array out."""
    arrays = npz_arrays(**changes)
    np.savez(file, **{key: array for key, array in arrays.items() if array is not None})
    return file
