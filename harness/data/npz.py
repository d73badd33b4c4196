"""The user's own .npz file in Keras's convention: x_train, y_train, x_test and y_test.

See keras.io, "Datasets"; `numpy.savez` writes such a file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable, first_line
from harness.data.dataset import Dataset, Labels, Split, scale_pixels

KEYS = ("x_train", "y_train", "x_test", "y_test")

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Part:
    """Images (n, height, width, channels) as they were saved, and labels (n,)."""

    images: Array
    labels: Labels


def load(path: Path, name: str) -> Dataset:
    """Load images and labels.

    Images are (n, height, width) or (n, height, width, channels).
    They are uint8 from 0 to 255, or floats from -1 to 1.
    Labels are integers (n,) or (n, 1), with classes numbered from 0.
    Raises DataUnavailable, naming file and key.
    """
    train, test = _read_parts(path)
    classes = 1 + int(train.labels.max())
    return Dataset(name, classes, train=_make_split(train), test=_make_split(test))


def check(path: Path) -> None:
    """Check the file as `load` does. Raises DataUnavailable, naming file and key."""
    _read_parts(path)


def _read_parts(path: Path) -> tuple[_Part, _Part]:
    arrays = _read_arrays(path)
    train, test = (_read_part(path, arrays, part=part) for part in ("train", "test"))
    _check_shapes(path, train, test=test)
    _check_classes(path, train, test=test)
    return train, test


def _make_split(part: _Part) -> Split:
    if part.images.dtype == np.uint8:
        return Split(scale_pixels(part.images, 255), part.labels)
    return Split(part.images.astype(np.float32, order="C"), part.labels)


def _read_arrays(path: Path) -> dict[str, Array]:
    try:
        # numpy leaves a damaged archive open if it opens the file itself
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = {key: file[key] for key in KEYS if key in file}
    except Exception as error:  # numpy's and zipfile's errors depend on the damaged place
        raise DataUnavailable(
            f"{path}: not a readable .npz file of arrays: {first_line(error)}; save it again."
        ) from error
    if missing := [key for key in KEYS if key not in arrays]:
        raise DataUnavailable(
            f"{path}: lacks {', '.join(missing)}; save {', '.join(KEYS)}, "
            "as test images are never taken from the training set."
        )
    return arrays


def _read_part(path: Path, arrays: dict[str, Array], part: str) -> _Part:
    images = _read_images(path, arrays, key=f"x_{part}")
    labels = _read_labels(path, arrays, key=f"y_{part}")
    if len(images) != len(labels):
        raise DataUnavailable(
            f"{path}: x_{part} has {len(images)} images, but y_{part} has {len(labels)} labels; "
            "give each image one label."
        )
    return _Part(images, labels)


def _read_images(path: Path, arrays: dict[str, Array], key: str) -> Array:
    images = arrays[key]
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataUnavailable(
            f"{path}: {key} has the shape {images.shape}; "
            "use (n, height, width) or (n, height, width, channels)."
        )
    is_scaled = images.dtype.kind == "f" and np.all(np.abs(images) <= 1)  # False for NaN
    if images.dtype != np.uint8 and not is_scaled:
        raise DataUnavailable(
            f"{path}: {key} has {_describe_values(images)}; "
            "use uint8 from 0 to 255, or floats scaled to -1 to 1."
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _describe_values(images: Array) -> str:
    if images.dtype.kind not in "iuf":
        return f"values of type {images.dtype}"
    return f"{images.dtype} values from {images.min():g} to {images.max():g}"


def _read_labels(path: Path, arrays: dict[str, Array], key: str) -> Labels:
    labels = arrays[key]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataUnavailable(
            f"{path}: {key} has the shape {labels.shape}; use (n,), one integer for each image."
        )
    if labels.dtype.kind not in "iu":
        raise DataUnavailable(
            f"{path}: {key} has values of type {labels.dtype}; "
            "use integers that number the classes from 0."
        )
    return labels.astype(np.int64)


def _check_shapes(path: Path, train: _Part, test: _Part) -> None:
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataUnavailable(
            f"{path}: the images of x_train are {train.images.shape[1:]}, "
            f"those of x_test {test.images.shape[1:]}; "
            "give them one height, width and number of channels."
        )


def _check_classes(path: Path, train: _Part, test: _Part) -> None:
    classes = np.unique(train.labels)
    if not np.array_equal(classes, np.arange(len(classes))):
        raise DataUnavailable(
            f"{path}: y_train has {len(classes)} classes from {classes[0]} to {classes[-1]}; "
            f"number them 0 to {len(classes) - 1}, without a gap."
        )
    if unknown_classes := sorted(set(test.labels.tolist()) - set(classes.tolist())):
        raise DataUnavailable(
            f"{path}: y_test has images of class {unknown_classes[0]}, but y_train has none; "
            "correct either."
        )
