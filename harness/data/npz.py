"""A .npz file of the user's own, in Keras's convention: x_train, y_train, x_test and y_test.

(keras.io, "Datasets"; `numpy.savez` writes one.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable, first_line
from harness.data.dataset import Dataset, Labels, Split, scaled

KEYS = ("x_train", "y_train", "x_test", "y_test")

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Part:
    """`images` (n, height, width, channels) as they were saved, `labels` (n,)."""

    images: Array
    labels: Labels


def load(path: Path, name: str) -> Dataset:
    """Images (n, height, width) or (n, height, width, channels), as uint8 of 0 to 255 or as floats of -1 to 1.

    Labels are integers (n,) or (n, 1), the classes numbered from 0. Raises DataUnavailable, naming file and key.
    """
    train, test = _parts(path)
    return Dataset(name, 1 + int(train.labels.max()), train=_split(train), test=_split(test))


def check(path: Path) -> None:
    """Raises what `load` would."""
    _parts(path)


def _parts(path: Path) -> tuple[_Part, _Part]:
    arrays = _arrays(path)
    train, test = (_part(path, arrays, part=part) for part in ("train", "test"))
    _check_alike(path, train, test=test)
    _check_classes(path, train, test=test)
    return train, test


def _split(part: _Part) -> Split:
    is_scaled = part.images.dtype != np.uint8
    images = part.images.astype(np.float32, order="C") if is_scaled else scaled(part.images, 255)
    return Split(images, part.labels)


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in KEYS if key in file}
    except Exception as error:  # what numpy and zipfile raise depends on where a file is damaged
        raise DataUnavailable(
            f"{path}: is no .npz file of arrays: {first_line(error)}; save it anew."
        ) from error
    if missing := [key for key in KEYS if key not in found]:
        raise DataUnavailable(
            f"{path}: lacks {', '.join(missing)}; it has to hold {', '.join(KEYS)}: "
            "the test images are kept apart by you, none are taken from the training set."
        )
    return found


def _part(path: Path, arrays: dict[str, Array], part: str) -> _Part:
    images, labels = _images(path, arrays, key=f"x_{part}"), _labels(path, arrays, key=f"y_{part}")
    if len(images) != len(labels):
        raise DataUnavailable(
            f"{path}: x_{part} holds {len(images)} images, y_{part} {len(labels)} labels; give each image its label."
        )
    return _Part(images, labels)


def _images(path: Path, arrays: dict[str, Array], key: str) -> Array:
    images = arrays[key]
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataUnavailable(
            f"{path}: {key} is of shape {images.shape}; images are (n, height, width) or (n, height, width, channels)."
        )
    is_scaled = images.dtype.kind == "f" and np.all(np.abs(images) <= 1)  # not of what is no number
    if images.dtype != np.uint8 and not is_scaled:
        raise DataUnavailable(
            f"{path}: {key} holds {_range(images)}; give uint8 of 0 to 255, or floats scaled to -1 to 1."
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _range(images: Array) -> str:
    numeric = images.dtype.kind in "iuf"
    return (
        f"{images.dtype} of {images.min():g} to {images.max():g}" if numeric else str(images.dtype)
    )


def _labels(path: Path, arrays: dict[str, Array], key: str) -> Labels:
    labels = arrays[key]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataUnavailable(
            f"{path}: {key} is of shape {labels.shape}; labels are (n,), one integer an image."
        )
    if labels.dtype.kind not in "iu":
        raise DataUnavailable(
            f"{path}: {key} holds {labels.dtype}; labels are integers that number the classes from 0."
        )
    return labels.astype(np.int64)


def _check_alike(path: Path, train: _Part, test: _Part) -> None:
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataUnavailable(
            f"{path}: x_train's images are {train.images.shape[1:]}, x_test's {test.images.shape[1:]}; "
            "make them of one height, width and number of channels."
        )


def _check_classes(path: Path, train: _Part, test: _Part) -> None:
    learned = np.unique(train.labels)
    if not np.array_equal(learned, np.arange(len(learned))):
        raise DataUnavailable(
            f"{path}: y_train holds {len(learned)} classes from {learned[0]} to {learned[-1]}; "
            f"number them 0 to {len(learned) - 1}, without a gap."
        )
    if strange := sorted(set(test.labels.tolist()) - set(learned.tolist())):
        raise DataUnavailable(
            f"{path}: y_test holds class {strange[0]}, of which y_train has no image; mend either."
        )
