import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable
from harness.data import identify, load
from tests.datasets.files import own_arrays, own_npz

IMAGES = own_arrays()["x_train"]


@given(arrays(np.uint8, array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=6)))
@settings(deadline=None)
def test_bytes_are_scaled_and_keep_their_place(images: NDArray[np.uint8]) -> None:
    with TemporaryDirectory() as folder:
        labels = np.zeros(len(images), int)
        file = own_npz(
            Path(folder) / "a.npz",
            x_train=images,
            y_train=labels,
            x_test=images,
            y_test=labels[:, None],
        )
        found = load(str(file))
    assert found.shape == (images.shape[1:] if images.ndim == 4 else (*images.shape[1:], 1))
    assert found.train.images.dtype == np.float32
    assert np.array_equal(np.rint((found.train.images + 1) * 127.5).ravel(), images.ravel())
    assert np.array_equal(found.test.images, found.train.images)
    assert found.test.labels.tolist() == [0] * len(images)


@given(arrays(np.float64, (3, 2, 2), elements=st.floats(-1, 1)))
@settings(deadline=None)
def test_floats_of_minus_one_to_one_are_taken_as_they_are(images: NDArray[np.float64]) -> None:
    with TemporaryDirectory() as folder:
        file = own_npz(
            Path(folder) / "a.npz",
            x_train=images,
            y_train=np.arange(3),
            x_test=images,
            y_test=np.arange(3),
        )
        found = load(str(file))
    assert np.array_equal(found.train.images, images[..., np.newaxis].astype(np.float32))
    assert found.classes == 3


@given(st.binary(max_size=200), st.integers(0, 10_000))
@settings(deadline=None)
def test_a_file_that_was_overwritten_in_part_is_read_or_refused_by_name(
    scribble: bytes, place: int
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **own_arrays())
    content = bytearray(buffer.getvalue())
    start = place % len(content)
    content[start : start + len(scribble)] = scribble
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.npz"
        file.write_bytes(content)
        try:
            found = load(str(file))
        except DataUnavailable as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert np.abs(found.train.images).max() <= 1
            assert len(found.train) == len(found.train.images)


def test_the_data_set_is_named_by_its_file_and_content(tmp_path: Path) -> None:
    file = own_npz(tmp_path / "leaves.npz")
    found = load(str(file))
    assert found.name == identify(str(file))
    assert (found.classes, found.shape, len(found.train), len(found.test)) == (3, (4, 5, 1), 6, 3)
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"x_test": None, "y_test": None},
            "lacks x_test, y_test; .*test images are kept apart by you",
        ),
        ({"y_train": None}, "lacks y_train; it has to hold x_train, y_train, x_test, y_test"),
        ({"x_train": IMAGES.reshape(6, 20)}, r"x_train is of shape \(6, 20\); images are"),
        ({"x_test": IMAGES[:3, :2]}, r"x_train's images are \(4, 5, 1\), x_test's \(2, 5, 1\)"),
        ({"x_test": IMAGES[:0], "y_test": np.arange(0)}, r"x_test is of shape \(0, 4, 5\)"),
        ({"y_train": np.arange(5) % 3}, "x_train holds 6 images, y_train 5 labels"),
        ({"y_test": np.eye(3, dtype=int)}, r"y_test is of shape \(3, 3\); labels are"),
        ({"y_train": np.arange(6) / 2}, "y_train holds float64; labels are integers"),
        ({"y_train": np.array(list("abcabc"))}, "y_train holds <U1; labels are integers"),
        (
            {"y_train": 1 + np.arange(6) % 3},
            "y_train holds 3 classes from 1 to 3; number them 0 to 2",
        ),
        (
            {"y_train": np.arange(6) % 3 - 1},
            "y_train holds 3 classes from -1 to 1; number them 0 to 2",
        ),
        (
            {"y_train": np.arange(6) % 3 * 2},
            "y_train holds 3 classes from 0 to 4; number them 0 to 2, without a gap",
        ),
        ({"y_test": np.array([0, 3, 5])}, "y_test holds class 3, of which y_train has no image"),
        ({"x_train": IMAGES.astype(np.int64)}, "x_train holds int64 of 0 to 119; give uint8"),
        (
            {"x_test": IMAGES[:3] / 10},
            "x_test holds float64 of 0 to 5.9; give uint8 of 0 to 255, or floats",
        ),
        ({"x_test": np.full((3, 4, 5), np.nan)}, "x_test holds float64 of nan to nan"),
        ({"x_train": IMAGES[:0], "y_train": np.arange(0)}, r"x_train is of shape \(0, 4, 5\)"),
        ({"x_train": IMAGES > 3}, "x_train holds bool; give uint8"),
        (
            {"x_train": np.array([{}] * 6, object)},
            "is no .npz file of arrays: Object arrays cannot be loaded",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_key(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    file = own_npz(tmp_path / "leaves.npz", **changed)
    refused_at_once(file, words)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 but no archive", b"\x93NUMPY\x01\x00"]
)
def test_a_file_that_is_no_npz_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "leaves.npz"
    file.write_bytes(content)
    refused_at_once(file, r"is no \.npz file of arrays")


def refused_at_once(file: Path, words: str) -> None:
    """When its name is asked for, which is before anything is trained."""
    with pytest.raises(DataUnavailable, match=f"^is '{file}': {file}: {words}"):
        identify(str(file))
    with pytest.raises(DataUnavailable, match=f"^The data set is '{file}': {file}: {words}"):
        load(str(file))
