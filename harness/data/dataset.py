"""The form that all data sets have in memory."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

# All trials share one split, whatever their own seeds: they are compared on the same images.
_SPLIT_SEED = 20160208


@dataclass(frozen=True, eq=False)
class Split:
    """Images (n, height, width, channels) with values from -1 to 1, and labels (n,)."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set, and a test set that is used only once, at the end."""

    name: str
    classes: int
    train: Split
    test: Split

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    def split_validation(self, share: float) -> tuple[Split, Split]:
        """Split the training images in two: to fit, and the `share` of them for validation.

        The same images are chosen every time.
        """
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(self.train))
        cut = len(order) - round(share * len(order))
        return self._pick(order[:cut]), self._pick(order[cut:])

    def _pick(self, indices: NDArray[np.int64]) -> Split:
        return Split(self.train.images[indices], self.train.labels[indices])


def make_split(pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> Split:
    """Make a split of images (n, height, width, channels) from 0 to 255, and labels (n,)."""
    return Split(scale_pixels(pixels, 255), labels.astype(np.int64))


def scale_pixels(pixels: NDArray[np.uint8] | NDArray[np.float64], maximum: float) -> Images:
    """Scale pixels from 0 to `maximum` to float32 from -1 to 1."""
    images = pixels.astype(np.float32, order="C")
    images /= np.float32(maximum / 2)  # in place: a data set as floats is large
    images -= 1
    return images
