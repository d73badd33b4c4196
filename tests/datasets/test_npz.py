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
from tests.datasets.files import npz_arrays, save_npz

IMAGES = npz_arrays()["x_train"]


@given(arrays(np.uint8, array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=6)))
@settings(deadline=None)
def test_bytes_are_scaled_and_keep_their_order(images: NDArray[np.uint8]) -> None:
    with TemporaryDirectory() as folder:
        labels = np.zeros(len(images), int)
        file = save_npz(
            Path(folder) / "a.npz",
            x_train=images,
            y_train=labels,
            x_test=images,
            y_test=labels[:, None],
        )
        dataset = load(str(file))
    assert dataset.shape == (images.shape[1:] if images.ndim == 4 else (*images.shape[1:], 1))
    assert dataset.train.images.dtype == np.float32
    assert np.array_equal(np.rint((dataset.train.images + 1) * 127.5).ravel(), images.ravel())
    assert np.array_equal(dataset.test.images, dataset.train.images)
    assert dataset.test.labels.tolist() == [0] * len(images)


@given(arrays(np.float64, (3, 2, 2), elements=st.floats(-1, 1)))
@settings(deadline=None)
def test_floats_from_minus_one_to_one_are_not_scaled(images: NDArray[np.float64]) -> None:
    with TemporaryDirectory() as folder:
        file = save_npz(
            Path(folder) / "a.npz",
            x_train=images,
            y_train=np.arange(3),
            x_test=images,
            y_test=np.arange(3),
        )
        dataset = load(str(file))
    assert np.array_equal(dataset.train.images, images[..., np.newaxis].astype(np.float32))
    assert dataset.classes == 3


@given(st.binary(max_size=200), st.integers(0, 10_000))
@settings(deadline=None)
def test_a_partly_overwritten_file_is_read_or_refused_by_name(noise: bytes, position: int) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **npz_arrays())
    content = bytearray(buffer.getvalue())
    start = position % len(content)
    content[start : start + len(noise)] = noise
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.npz"
        file.write_bytes(content)
        try:
            dataset = load(str(file))
        except DataUnavailable as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert np.abs(dataset.train.images).max() <= 1
            assert len(dataset.train) == len(dataset.train.images)


def test_the_data_set_is_named_by_its_file_and_content(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "leaves.npz")
    dataset = load(str(file))
    assert dataset.name == identify(str(file))
    assert (dataset.classes, dataset.shape, len(dataset.train), len(dataset.test)) == (
        3,
        (4, 5, 1),
        6,
        3,
    )
    assert dataset.train.labels.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x_test": None, "y_test": None},
            "lacks x_test, y_test; .*test images are never taken from the training set",
        ),
        ({"y_train": None}, "lacks y_train; save x_train, y_train, x_test, y_test"),
        ({"x_train": IMAGES.reshape(6, 20)}, r"x_train has the shape \(6, 20\); use"),
        (
            {"x_test": IMAGES[:3, :2]},
            r"the images of x_train are \(4, 5, 1\), those of x_test \(2, 5, 1\)",
        ),
        ({"x_test": IMAGES[:0], "y_test": np.arange(0)}, r"x_test has the shape \(0, 4, 5\)"),
        ({"y_train": np.arange(5) % 3}, "x_train has 6 images, but y_train has 5 labels"),
        ({"y_test": np.eye(3, dtype=int)}, r"y_test has the shape \(3, 3\); use"),
        ({"y_train": np.arange(6) / 2}, "y_train has values of type float64; use integers"),
        ({"y_train": np.array(list("abcabc"))}, "y_train has values of type <U1; use integers"),
        (
            {"y_train": 1 + np.arange(6) % 3},
            "y_train has 3 classes from 1 to 3; number them 0 to 2",
        ),
        (
            {"y_train": np.arange(6) % 3 - 1},
            "y_train has 3 classes from -1 to 1; number them 0 to 2",
        ),
        (
            {"y_train": np.arange(6) % 3 * 2},
            "y_train has 3 classes from 0 to 4; number them 0 to 2, without a gap",
        ),
        ({"y_test": np.array([0, 3, 5])}, "y_test has images of class 3, but y_train has none"),
        ({"x_train": IMAGES.astype(np.int64)}, "x_train has int64 values from 0 to 119; use uint8"),
        (
            {"x_test": IMAGES[:3] / 10},
            "x_test has float64 values from 0 to 5.9; use uint8 from 0 to 255, or floats",
        ),
        ({"x_test": np.full((3, 4, 5), np.nan)}, "x_test has float64 values from nan to nan"),
        ({"x_train": IMAGES[:0], "y_train": np.arange(0)}, r"x_train has the shape \(0, 4, 5\)"),
        ({"x_train": IMAGES > 3}, "x_train has values of type bool; use uint8"),
        (
            {"x_train": np.array([{}] * 6, object)},
            "not a readable .npz file of arrays: Object arrays cannot be loaded",
        ),
    ],
)
def test_a_wrong_array_is_refused_with_file_and_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = save_npz(tmp_path / "leaves.npz", **changes)
    check_refusal(file, message)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 but no archive", b"\x93NUMPY\x01\x00"]
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "leaves.npz"
    file.write_bytes(content)
    check_refusal(file, r"not a readable \.npz file of arrays")


def check_refusal(file: Path, message: str) -> None:
    """Check that the file is refused when it is identified, which is before training."""
    with pytest.raises(DataUnavailable, match=f"^is '{file}': {file}: {message}"):
        identify(str(file))
    with pytest.raises(DataUnavailable, match=f"^The data set is '{file}': {file}: {message}"):
        load(str(file))
