"""scikit-learn's digits: 1,797 real 8x8 images of handwritten digits, shipped with the library.

They are from UCI (Alpaydin and Kaynak 1998).
"""

from importlib.metadata import distribution

import numpy as np

from harness.data.dataset import Dataset, Split, scale_pixels

_FILE = "sklearn/datasets/data/digits.csv.gz"
_TEST_IMAGES = 360  # a fifth


def load() -> Dataset:
    # The same as `sklearn.datasets.load_digits`, whose import takes a second.
    file = distribution("scikit-learn").locate_file(_FILE)
    rows = np.loadtxt(str(file), delimiter=",")
    images = scale_pixels(rows[:, :-1].reshape(-1, 8, 8, 1), 16)
    labels = rows[:, -1].astype(np.int64)
    # Neighbouring images are by the same writer; a fixed shuffle spreads writers over both splits.
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[_TEST_IMAGES:], order[:_TEST_IMAGES]
    return Dataset(
        "digits",
        10,
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
    )
