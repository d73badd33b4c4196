import gzip
import struct
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from harness.core.errors import DataUnavailable
from harness.data import fashion_mnist, load
from harness.data.dataset import Dataset, Split, scaled
from harness.data.fashion_mnist import FILES, read_idx
from harness.data.folders import DATA_VARIABLE


def idx(shape: tuple[int, ...], values: bytes, magic: bytes = b"\0\0\x08") -> bytes:
    return magic + bytes([len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + values


def images_of(count: int) -> Dataset:
    """Each image is its own number, so that one can tell which is where."""
    images = np.arange(count, dtype=np.float32).reshape(count, 1, 1, 1)
    split = Split(images, np.arange(count, dtype=np.int64))
    return Dataset("numbers", count, split, split)


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7)))
@settings(deadline=None)
def test_what_was_written_as_idx_is_read_back(array: NDArray[np.uint8]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "array.gz"
        file.write_bytes(gzip.compress(idx(array.shape, array.tobytes())))
        found = read_idx(file)
    assert found.dtype == np.uint8
    assert found.shape == array.shape
    assert np.array_equal(found, array)


@given(st.data())
@settings(deadline=None)
def test_a_file_that_is_cut_short_or_too_long_is_refused_by_name(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    whole = idx(shape, bytes(prod(shape)))
    length = data.draw(st.integers(0, len(whole) + 3).filter(lambda length: length != len(whole)))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "array.gz"
        file.write_bytes(gzip.compress(whole[:length].ljust(length, b"\0")))
        with pytest.raises(DataUnavailable, match=r"array\.gz: "):
            read_idx(file)


@pytest.mark.parametrize(
    "content",
    [
        idx((2, 2), bytes(4), magic=b"\0\0\x0d"),
        idx((2, 2), bytes(4), magic=b"\0\1\x08"),
        idx((2, 2), bytes(4), magic=b"PNG"),
        b"",
        b"\0\0\x08",
        idx((2**31, 2**31, 4), b""),
        idx((2**16,) * 4, b""),
        idx((2**32 - 1,) * 2, b"x"),
        idx((1,) * 40, b"x"),
        idx((1,) * 255, b"x"),
    ],
    ids=[
        "floats",
        "magic",
        "png",
        "empty",
        "half_magic",
        "product_overflows_to_0",
        "product_of_four_overflows_to_0",
        "product_overflows_to_1",
        "forty_dimensions",
        "255_dimensions",
    ],
)
def test_a_header_that_can_not_be_true_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "array.gz"
    file.write_bytes(gzip.compress(content))
    with pytest.raises(DataUnavailable, match=r"array\.gz: .*fetch it again"):
        read_idx(file)


WHOLE_GZIP = gzip.compress(idx((4, 4), bytes(range(16))))


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", WHOLE_GZIP[:-9], WHOLE_GZIP[:12], WHOLE_GZIP[:-8] + b"\0" * 8, b"\x1f\x8b\x08\0" + b"\xff" * 60],
    ids=["empty", "other", "cut", "header_only", "wrong_checksum", "broken_deflate"],
)
def test_a_file_that_is_no_whole_gzip_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "array.gz"
    file.write_bytes(content)
    with pytest.raises(DataUnavailable, match=r"array\.gz: "):
        read_idx(file)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"array\.gz: "):
        read_idx(tmp_path / "array.gz")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Fashion-MNIST is looked for, and nowhere else."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    return folder


def test_another_edition_of_fashion_mnist_is_refused_with_what_to_do(own_folder: Path) -> None:
    for name in FILES:
        shape = (5, 28, 28) if "images" in name else (5,)
        (own_folder / name).write_bytes(gzip.compress(idx(shape, bytes(prod(shape)))))
    with pytest.raises(DataUnavailable, match=rf"fashion_mnist: .*original four IDX files into \${DATA_VARIABLE}"):
        fashion_mnist.load()


def test_a_damaged_file_of_fashion_mnist_is_refused_by_name(own_folder: Path) -> None:
    for name in FILES:
        (own_folder / name).write_bytes(b"damaged")
    with pytest.raises(DataUnavailable, match=r"fashion-mnist/train-images-idx3-ubyte\.gz: is no whole gzip"):
        fashion_mnist.load()


def test_an_incomplete_folder_of_the_users_own_is_told_and_nothing_is_fetched(own_folder: Path) -> None:
    (own_folder / FILES[0]).write_bytes(gzip.compress(idx((1, 28, 28), bytes(784))))
    with pytest.raises(DataUnavailable, match=rf"fashion_mnist.*{FILES[1]}.*\${DATA_VARIABLE}"):
        fashion_mnist.load()


@given(st.integers(1, 300), st.floats(0, 0.99))
@settings(deadline=None, max_examples=50)
def test_held_out_images_are_disjoint_complete_and_the_same_every_time(count: int, share: float) -> None:
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
