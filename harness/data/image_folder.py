"""A folder of the user's own images: train/CLASS/* and test/CLASS/*; what is hidden (.name) does not count.

The classes are numbered in the order of their names.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable, first_line
from harness.core.ids import sha256_of_file
from harness.data.dataset import Dataset, Split, split_of

_FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "PPM",
    "TIFF",
    "WEBP",
)  # still pictures, read without another program
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")  # theirs
_MODES = ("L", "RGB")

Files = dict[str, list[Path]]  # by class


def load(folder: Path, name: str) -> Dataset:
    """Raises DataUnavailable, naming the first image that can't be read or that differs from the others."""
    train, test = _parts(folder)
    first = next(iter(train.values()))[0]
    return Dataset(name, len(train), train=_split(train, first), test=_split(test, first))


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every image, by its path within the folder. Raises DataUnavailable and OSError."""
    files = [file for part in _parts(folder) for files in part.values() for file in files]
    return {file.relative_to(folder).as_posix(): sha256_of_file(file) for file in files}


def _parts(folder: Path) -> tuple[Files, Files]:
    train, test = _files(folder, "train"), _files(folder, "test")
    if one_sided := sorted(train.keys() ^ test.keys()):
        raise DataUnavailable(
            f"{folder}: {one_sided[0]} is a class in only one of train/ and test/; add or remove it."
        )
    return train, test


def _files(folder: Path, part: str) -> Files:
    """Every class's files, both in the order of their names."""
    where = f"put the images into {folder.name}/{part}/CLASS/"
    if not (folder / part).is_dir():
        raise DataUnavailable(f"{folder / part}: is no folder; {where}.")
    files = {one.name: _visible(one) for one in _visible(folder / part) if one.is_dir()}
    if not files:
        raise DataUnavailable(f"{folder / part}: holds no class; {where}.")
    if empty := [name for name, found in files.items() if not found]:
        raise DataUnavailable(
            f"{folder / part / empty[0]}: holds no image; add some or remove the class."
        )
    if strange := [
        file for found in files.values() for file in found if file.suffix.lower() not in _SUFFIXES
    ]:
        raise DataUnavailable(
            f"{strange[0]}: is no image by its name ({', '.join(_SUFFIXES)}); remove it, or hide it (.name)."
        )
    return files


def _visible(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _split(files: Files, first: Path) -> Split:
    shape = _pixels(first).shape
    pixels = np.stack(
        [_like(shape, first, file=file) for found in files.values() for file in found]
    )
    labels = np.repeat(np.arange(len(files)), [len(found) for found in files.values()])
    return split_of(pixels, labels)


def _like(shape: tuple[int, ...], first: Path, file: Path) -> NDArray[np.uint8]:
    pixels = _pixels(file)
    if pixels.shape != shape:
        raise DataUnavailable(
            f"{file}: is {_shown(pixels.shape)}, but {first} is {_shown(shape)}; make all images alike."
        )
    return pixels


def _pixels(file: Path) -> NDArray[np.uint8]:
    """(height, width, 1) where it is grey, else (height, width, 3)."""
    from PIL import Image

    try:
        with Image.open(file, formats=_FORMATS) as image:
            image.load()
    except Exception as error:  # Pillow's decoders raise whatever they stumble on
        raise DataUnavailable(
            f"{file}: is no image that can be read: {first_line(error)}; mend or remove it."
        ) from error
    if image.mode not in _MODES:
        raise DataUnavailable(
            f"{file}: is of mode {image.mode}; save it as grey (L) or RGB, 8 bits a channel."
        )
    return np.asarray(image).reshape(image.height, image.width, -1)


def _shown(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
