import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import DataUnavailable
from harness.data import DATASETS, identify, load
from harness.data.dataset import Dataset, Split, scaled


def images_of(count: int) -> Dataset:
    """Each image is its own number, so that one can tell which is where."""
    images = np.arange(count, dtype=np.float32).reshape(count, 1, 1, 1)
    split = Split(images, np.arange(count, dtype=np.int64))
    return Dataset("numbers", count, train=split, test=split)


@given(st.integers(1, 300), st.floats(0, 0.99))
@settings(deadline=None, max_examples=50)
def test_held_out_images_are_disjoint_complete_and_the_same_every_time(
    count: int, share: float
) -> None:
    fitted, held = images_of(count).held_out(share)
    assert len(held) == round(share * count)
    assert sorted([*fitted.labels, *held.labels]) == list(range(count))
    again, held_again = images_of(count).held_out(share)
    assert list(again.labels) == list(fitted.labels)
    assert list(held_again.labels) == list(held.labels)


def test_held_out_images_keep_their_labels_and_are_no_run_of_neighbours() -> None:
    for part in images_of(200).held_out(0.25):
        assert list(part.images.ravel()) == list(part.labels)
        assert list(part.labels) != sorted(part.labels)


def test_pixels_are_scaled_to_minus_one_to_one() -> None:
    found = scaled(np.array([0, 51, 255], np.uint8), 255)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([-1, -0.6, 1])


def test_digits_are_whole() -> None:
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


def test_digits_are_the_same_every_time_and_no_test_image_is_trained_on() -> None:
    digits = load("digits")
    load.cache_clear()
    again = load("digits")
    assert np.array_equal(digits.train.images, again.train.images)
    assert np.array_equal(digits.test.labels, again.test.labels)
    trained = {image.tobytes() for image in digits.train.images}
    assert not any(image.tobytes() in trained for image in digits.test.images)


@pytest.mark.parametrize("name", DATASETS)
def test_a_built_in_data_set_is_known_by_its_name_whether_it_is_here_or_not(name: str) -> None:
    assert identify(name) == name


@pytest.mark.parametrize("name", ["", "mnits", "MNIST", "flowers"])
def test_a_name_that_is_not_known_is_refused_with_those_that_are(name: str) -> None:
    words = (
        rf"is '{name}'; known: digits, mnist, fashion_mnist, cifar10, or the path of a \.npz file"
    )
    with pytest.raises(DataUnavailable, match=f"^{words}"):
        identify(name)
    with pytest.raises(DataUnavailable, match=f"^The data set {words}"):
        load(name)


def test_naming_a_data_set_imports_no_tensorflow_and_no_pillow() -> None:
    code = "import sys; from harness import data; data.identify('mnist'); print({'tensorflow', 'PIL'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
