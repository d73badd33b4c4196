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


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    "files",
    [BATCHES, {"cifar-10-python.tar.gz": cifar_archive(BATCHES)}],
    ids=["batches", "archive"],
)
def test_images_and_labels_keep_the_order_of_the_batches(
    data_folder: Path, files: dict[str, bytes]
) -> None:
    write_files(data_folder / "cifar10", files)
    dataset = tiny_cifar10(BATCHES).load()
    assert (dataset.name, dataset.classes, dataset.shape) == ("cifar10", 10, (32, 32, 3))
    assert np.array_equal(np.rint((dataset.train.images + 1) * 127.5), IMAGES[:10])
    assert np.array_equal(np.rint((dataset.test.images + 1) * 127.5), IMAGES[10:])
    assert [*dataset.train.labels, *dataset.test.labels] == LABELS
    assert dataset.train.images.flags.c_contiguous


@pytest.mark.parametrize(
    ("files", "file_name"),
    [
        (BATCHES, "data_batch_1"),
        ({"cifar-10-python.tar.gz": cifar_archive(BATCHES)}, "cifar-10-python.tar.gz"),
    ],
    ids=["batches", "archive"],
)
def test_batches_with_other_hashes_are_refused_before_decoding(
    data_folder: Path, files: dict[str, bytes], file_name: str
) -> None:
    write_files(data_folder / "cifar10", files)
    with pytest.raises(
        DataUnavailable, match=rf"^cifar10: .*{file_name} is not the published file"
    ):
        cifar10.PUBLISHED.load()


def test_batches_that_keras_has_unpacked_are_used(home: Path) -> None:
    write_files(home / ".keras" / "datasets", BATCHES)
    assert tiny_cifar10(BATCHES).load().test.labels.tolist() == LABELS[10:]


class CallWhenUnpickled:
    """An object whose unpickling calls a function."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call[0], self._call[1:]


def test_a_batch_that_would_call_a_function_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    trap = python2_pickle({b"data": CallWhenUnpickled(os.mkdir, str(tmp_path / "called"))})
    with pytest.raises(pickle.UnpicklingError, match="mkdir does not belong in a batch"):
        cifar10.decode_batches([trap, trap])
    assert not (tmp_path / "called").exists()
