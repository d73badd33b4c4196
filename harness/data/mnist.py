"""MNIST: 70,000 real 28x28 images of handwritten digits (LeCun, Bottou, Bengio, Haffner 1998)."""

import io
from collections.abc import Sequence

import numpy as np

from harness.data import idx
from harness.data.dataset import Split, make_split
from harness.data.downloads import Edition, PublishedDataset
from harness.data.npz import KEYS


def decode_npz(contents: Sequence[bytes]) -> tuple[Split, Split]:
    (content,) = contents
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        train_images, train_labels, test_images, test_labels = (file[key] for key in KEYS)
    return make_split(train_images[..., np.newaxis], train_labels), make_split(
        test_images[..., np.newaxis], test_labels
    )


# The hashes of the unpacked IDX files are those that several other projects pin.
# The hash of the .npz file is the one in Keras (tf_keras/src/datasets/mnist.py).
PUBLISHED = PublishedDataset(
    "mnist",
    10,
    folder="mnist",
    editions=(
        idx.edition(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        Edition(
            {"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
            decode_npz,
        ),
    ),
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets",
)
