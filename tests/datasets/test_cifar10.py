import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import DataUnavailable
from harness.data import cifar10
from tests.datasets.files import cifar_archive, cifar_batch, python2_pickle, tiny_cifar10

PARTS = [
    *(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
    "cifar-10-batches-py/test_batch",
]
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
LABELS = [3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9]
BATCHES = {
    name: cifar_batch(IMAGES[2 * number : 2 * number + 2], LABELS[2 * number : 2 * number + 2])
    for number, name in enumerate(PARTS)
}


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    "files",
    [BATCHES, {"cifar-10-python.tar.gz": cifar_archive(BATCHES)}],
    ids=["batches", "archive"],
)
def test_images_and_labels_are_what_the_batches_hold_in_their_order(
    own_folder: Path, files: dict[str, bytes]
) -> None:
    put(own_folder / "cifar10", files)
    found = tiny_cifar10(BATCHES).load()
    assert (found.name, found.classes, found.shape) == ("cifar10", 10, (32, 32, 3))
    assert np.array_equal(np.rint((found.train.images + 1) * 127.5), IMAGES[:10])
    assert np.array_equal(np.rint((found.test.images + 1) * 127.5), IMAGES[10:])
    assert [*found.train.labels, *found.test.labels] == LABELS
    assert found.train.images.flags.c_contiguous


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (BATCHES, "data_batch_1"),
        ({"cifar-10-python.tar.gz": cifar_archive(BATCHES)}, "cifar-10-python.tar.gz"),
    ],
    ids=["batches", "archive"],
)
def test_batches_that_were_not_published_are_refused_before_they_are_read(
    own_folder: Path, files: dict[str, bytes], named: str
) -> None:
    put(own_folder / "cifar10", files)
    with pytest.raises(DataUnavailable, match=rf"^cifar10: .*{named} is not what was published"):
        cifar10.PUBLISHED.load()


def test_what_keras_has_unpacked_is_found(home: Path) -> None:
    put(home / ".keras" / "datasets", BATCHES)
    assert tiny_cifar10(BATCHES).load().test.labels.tolist() == LABELS[10:]


class Called:
    """Unpickled by a call of any function."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call[0], self._call[1:]


def test_a_batch_that_would_call_a_function_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    trap = python2_pickle({b"data": Called(os.mkdir, str(tmp_path / "called"))})
    with pytest.raises(pickle.UnpicklingError, match="mkdir is none of what a batch"):
        cifar10.decode_batches([trap, trap])
    assert not (tmp_path / "called").exists()
