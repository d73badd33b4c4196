"""A folder of the user's own images: train/CLASS/* and test/CLASS/*.

Hidden files and folders (.name) are ignored. The classes are numbered in the order of their names.
"""

from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable, first_line
from harness.core.ids import sha256_of_file
from harness.data.dataset import Dataset, Split, make_split

# Still pictures that Pillow reads without starting another program, and their suffixes.
_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_MODES = ("L", "RGB")

Files = dict[str, list[Path]]  # by class


def load(folder: Path, name: str) -> Dataset:
    """Load the images.

    Raises DataUnavailable, naming the first image that can't be read or has another size or mode.
    """
    train, test = _list_parts(folder)
    first = next(iter(train.values()))[0]
    return Dataset(name, len(train), train=_read_split(train, first), test=_read_split(test, first))


def hash_images(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every image by its path within the folder.

    Raises DataUnavailable if the folder's structure is wrong, and OSError.
    """
    train, test = _list_parts(folder)
    images = chain(*train.values(), *test.values())
    return {file.relative_to(folder).as_posix(): sha256_of_file(file) for file in images}


def _list_parts(folder: Path) -> tuple[Files, Files]:
    train, test = _list_files(folder, "train"), _list_files(folder, "test")
    if unpaired := sorted(train.keys() ^ test.keys()):
        raise DataUnavailable(
            f"{folder}: the class {unpaired[0]!r} is in only one of train/ and test/; "
            "add or remove it."
        )
    return train, test


def _list_files(folder: Path, part: str) -> Files:
    """Return the files of every class, both in the order of their names."""
    remedy = f"put the images into {folder.name}/{part}/CLASS/"
    if not (folder / part).is_dir():
        raise DataUnavailable(f"{folder / part}: not a folder; {remedy}.")
    files = {
        class_folder.name: _list_visible(class_folder)
        for class_folder in _list_visible(folder / part)
        if class_folder.is_dir()
    }
    if not files:
        raise DataUnavailable(f"{folder / part}: contains no class; {remedy}.")
    for name, images in files.items():
        if not images:
            raise DataUnavailable(
                f"{folder / part / name}: contains no image; add some or remove the class."
            )
    for image in chain(*files.values()):
        if image.suffix.lower() not in _SUFFIXES:
            raise DataUnavailable(
                f"{image}: does not have the suffix of an image ({', '.join(_SUFFIXES)}); "
                "remove it, or hide it (.name)."
            )
    return files


def _list_visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _read_split(files: Files, first: Path) -> Split:
    shape = _read_pixels(first).shape
    images = chain(*files.values())
    pixels = np.stack([_read_pixels_of_shape(shape, first, file=file) for file in images])
    labels = np.repeat(np.arange(len(files)), list(map(len, files.values())))
    return make_split(pixels, labels)


def _read_pixels_of_shape(shape: tuple[int, ...], first: Path, file: Path) -> NDArray[np.uint8]:
    pixels = _read_pixels(file)
    if pixels.shape != shape:
        raise DataUnavailable(
            f"{file}: is {_format_shape(pixels.shape)}, but {first} is {_format_shape(shape)}; "
            "give all images one size and mode."
        )
    return pixels


def _read_pixels(file: Path) -> NDArray[np.uint8]:
    """Return the pixels: (height, width, 1) for a grey image, else (height, width, 3)."""
    from PIL import Image

    try:
        with Image.open(file, formats=_FORMATS) as image:
            image.load()
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise DataUnavailable(
            f"{file}: not a readable image: {first_line(error)}; repair or remove it."
        ) from error
    if image.mode not in _MODES:
        raise DataUnavailable(
            f"{file}: has the mode {image.mode}; "
            "save it as grey (L) or RGB, with 8 bits per channel."
        )
    return np.asarray(image).reshape(image.height, image.width, -1)


def _format_shape(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
