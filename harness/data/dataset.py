"""The form that every data set has."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

_SPLIT_SEED = 20160208  # one split for every trial, whatever its own seed, so that trials are compared on the same images


@dataclass(frozen=True, eq=False)
class Split:
    """`images` (n, height, width, channels) in -1 to 1, `labels` (n,)."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to learn from, and those that are looked at once, at the end."""

    name: str
    classes: int
    train: Split
    test: Split

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    def held_out(self, share: float) -> tuple[Split, Split]:
        """The training images in two: to fit, and the `share` of them to validate on; the same ones every time."""
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(self.train))
        cut = len(order) - round(share * len(order))
        return self._pick(order[:cut]), self._pick(order[cut:])

    def _pick(self, indices: NDArray[np.int64]) -> Split:
        return Split(self.train.images[indices], self.train.labels[indices])


def split_of(pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> Split:
    """From images (n, height, width, channels) of 0 to 255, and labels (n,)."""
    return Split(scaled(pixels, 255), labels.astype(np.int64))


def scaled(pixels: NDArray[np.uint8] | NDArray[np.float64], top: float) -> Images:
    """Pixels of 0 to `top` as float32 of -1 to 1."""
    images = pixels.astype(np.float32, order="C")
    images /= np.float32(top / 2)  # in place: a whole set as floats is large
    images -= 1
    return images
