import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from harness.core.errors import DataUnavailable
from harness.data import DATASETS, identify, load
from harness.data.dataset import Dataset, Split, scale_pixels


def numbered_images(count: int) -> Dataset:
    """Return a data set in which each image's value is its number."""
    images = np.arange(count, dtype=np.float32).reshape(count, 1, 1, 1)
    split = Split(images, np.arange(count, dtype=np.int64))
    return Dataset("numbers", count, train=split, test=split)


@given(st.integers(1, 300), st.floats(0, 0.99))
@settings(deadline=None, max_examples=50)
def test_a_validation_split_is_disjoint_complete_and_repeatable(count: int, share: float) -> None:
    training, validation = numbered_images(count).split_validation(share)
    assert len(validation) == round(share * count)
    assert sorted([*training.labels, *validation.labels]) == list(range(count))
    training_again, validation_again = numbered_images(count).split_validation(share)
    assert list(training_again.labels) == list(training.labels)
    assert list(validation_again.labels) == list(validation.labels)


def test_a_validation_split_keeps_labels_and_shuffles() -> None:
    for part in numbered_images(200).split_validation(0.25):
        assert list(part.images.ravel()) == list(part.labels)
        assert list(part.labels) != sorted(part.labels)


def test_pixels_are_scaled_to_minus_one_to_one() -> None:
    images = scale_pixels(np.array([0, 51, 255], np.uint8), 255)
    assert images.dtype == np.float32
    assert images.tolist() == pytest.approx([-1, -0.6, 1])


def test_digits_are_complete() -> None:
    digits = load("digits")
    assert (digits.name, digits.classes, digits.shape) == ("digits", 10, (8, 8, 1))
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.float32
        assert (split.images.min(), split.images.max()) == (-1, 1)
        assert split.labels.dtype == np.int64
        assert len(split) == len(split.images)
        assert set(split.labels.tolist()) == set(range(10))


def test_digits_are_those_of_scikit_learn() -> None:
    digits, original = load("digits"), load_digits()
    expected = sorted(
        (label, image.tobytes())
        for image, label in zip(original.images, original.target, strict=True)
    )
    splits = (digits.train, digits.test)
    images = np.concatenate([split.images for split in splits])
    labels = np.concatenate([split.labels for split in splits])
    pixels = (images[..., 0].astype(np.float64) + 1) * 8
    assert expected == sorted(
        (label, image.tobytes()) for image, label in zip(pixels, labels, strict=True)
    )


def test_digits_are_the_same_every_time_and_no_test_image_is_trained_on() -> None:
    digits = load("digits")
    load.cache_clear()
    again = load("digits")
    assert np.array_equal(digits.train.images, again.train.images)
    assert np.array_equal(digits.test.labels, again.test.labels)
    trained = {image.tobytes() for image in digits.train.images}
    assert not any(image.tobytes() in trained for image in digits.test.images)


@pytest.mark.parametrize("name", DATASETS)
def test_a_built_in_data_set_keeps_its_name_even_if_it_is_not_downloaded(name: str) -> None:
    assert identify(name) == name


@pytest.mark.parametrize("name", ["", "mnits", "MNIST", "flowers"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    message = (
        f"is unknown: '{name}'; use digits, mnist, fashion_mnist, cifar10, "
        r"or the path of a \.npz file"
    )
    with pytest.raises(DataUnavailable, match=f"^{message}"):
        identify(name)
    with pytest.raises(DataUnavailable, match=f"^The data set {message}"):
        load(name)


def test_naming_a_data_set_imports_no_tensorflow_and_no_pillow() -> None:
    code = (
        "import sys; from harness import data; data.identify('mnist'); "
        "print({'tensorflow', 'PIL'} & {*sys.modules})"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stdout == "set()\n"
