"""scikit-learn's digits: 1,797 real 8x8 images of handwritten digits, shipped with the library.

They are from UCI (Alpaydin and Kaynak 1998).
"""

import numpy as np

from harness.data.dataset import Dataset, Split, scale_pixels

_TEST_IMAGES = 360  # a fifth


def load() -> Dataset:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = scale_pixels(digits.images[..., np.newaxis], 16)
    labels = digits.target.astype(np.int64)
    # Neighbouring images are by the same writer; a fixed shuffle spreads writers over both splits.
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[_TEST_IMAGES:], order[:_TEST_IMAGES]
    return Dataset(
        "digits",
        10,
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
    )
