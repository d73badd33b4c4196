import gzip
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
from filelock import FileLock

from harness.core.errors import DataUnavailable
from harness.data import fashion_mnist, mnist
from harness.data.dataset import Dataset
from harness.data.downloads import PublishedDataset
from harness.data.idx import FILES
from tests.datasets.files import publish, tiny_dataset, tiny_idx

NOWHERE = "http://127.0.0.1:1"  # nobody listens there
REMEDY = rf"put {FILES[0]}, .* into \$HARNESS_DATA/tiny"


def check_complete(dataset: Dataset) -> None:
    assert (dataset.name, dataset.classes, dataset.shape) == ("tiny", 3, (2, 3, 1))
    assert dataset.train.images.ravel() == pytest.approx(np.arange(30) / 127.5 - 1)
    assert dataset.test.images.ravel() == pytest.approx(np.arange(100, 124) / 127.5 - 1)
    assert dataset.train.labels.tolist() == [0, 1, 2, 1, 0]
    assert dataset.test.labels.tolist() == [2, 2, 1, 0]


def damage(file: Path) -> None:
    """Change one byte of the content; the gzip file stays valid."""
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[-1] ^= 1
    file.write_bytes(gzip.compress(bytes(content)))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The folder that a data set is published in."""
    publish(tmp_path / "origin", tiny_idx())
    return tmp_path / "origin"


@pytest.fixture
def cached(home: Path) -> Path:
    return home / ".cache" / "harness" / "datasets" / "tiny"


def test_the_users_folder_suffices(data_folder: Path) -> None:
    publish(data_folder / "tiny", tiny_idx())
    check_complete(tiny_dataset(NOWHERE).load())


@pytest.mark.parametrize(
    "location", [".cache/harness/datasets/tiny", ".keras/datasets/tiny", ".keras/datasets"]
)
def test_cached_files_are_not_downloaded(home: Path, location: str) -> None:
    publish(home / location, tiny_idx())
    check_complete(tiny_dataset(NOWHERE).load())


def test_the_compression_level_does_not_matter(data_folder: Path) -> None:
    publish(data_folder / "tiny", tiny_idx())
    for name, content in tiny_idx().items():
        (data_folder / "tiny" / name).write_bytes(gzip.compress(content, compresslevel=1))
    check_complete(tiny_dataset(NOWHERE).load())


def test_a_file_with_another_hash_is_refused_by_name(data_folder: Path) -> None:
    publish(data_folder / "tiny", tiny_idx())
    damage(data_folder / "tiny" / FILES[3])
    with pytest.raises(
        DataUnavailable,
        match=rf"^tiny: .*{FILES[3]} is not the published file \(its SHA-256 is .*{REMEDY}",
    ):
        tiny_dataset(NOWHERE).load()


VALID_GZIP = gzip.compress(tiny_idx()[FILES[0]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        VALID_GZIP[:-9],
        VALID_GZIP[:12],
        VALID_GZIP[:-8] + b"\0" * 8,
        b"\x1f\x8b\x08\0" + b"\xff" * 60,
    ],
    ids=["empty", "other", "truncated", "header_only", "wrong_checksum", "broken_deflate"],
)
def test_a_damaged_gzip_file_is_refused_by_name(data_folder: Path, content: bytes) -> None:
    publish(data_folder / "tiny", tiny_idx())
    (data_folder / "tiny" / FILES[0]).write_bytes(content)
    with pytest.raises(DataUnavailable, match=rf"^tiny: .*{FILES[0]} .*{REMEDY}"):
        tiny_dataset(NOWHERE).load()


def test_with_a_folder_set_no_other_place_is_used(
    data_folder: Path, cached: Path, origin: Path
) -> None:
    publish(cached, tiny_idx())
    publish(data_folder / "tiny", {FILES[0]: tiny_idx()[FILES[0]]})
    with pytest.raises(
        DataUnavailable,
        match=rf"^tiny: {data_folder}/tiny lacks its files, .*while HARNESS_DATA .*{REMEDY}",
    ):
        tiny_dataset(origin.as_uri()).load()


def test_a_missing_data_set_is_downloaded_once_and_cached(cached: Path, origin: Path) -> None:
    check_complete(tiny_dataset(origin.as_uri()).load())
    assert {file.name for file in cached.iterdir()} - {".lock"} == set(FILES)
    check_complete(tiny_dataset(NOWHERE).load())


def test_a_damaged_cache_is_downloaded_again(cached: Path, origin: Path) -> None:
    publish(cached, tiny_idx())
    damage(cached / FILES[0])
    check_complete(tiny_dataset(origin.as_uri()).load())
    check_complete(tiny_dataset(NOWHERE).load())


def test_a_failed_download_is_reported_with_a_remedy(cached: Path) -> None:
    publish(cached, tiny_idx())
    damage(cached / FILES[0])
    with pytest.raises(
        DataUnavailable, match=rf"^tiny: the download failed: .*{NOWHERE}/{FILES[0]}.*{REMEDY}"
    ):
        tiny_dataset(NOWHERE).load()


def test_a_download_with_another_hash_is_refused_and_not_cached(cached: Path, origin: Path) -> None:
    damage(origin / FILES[2])
    with pytest.raises(DataUnavailable, match=rf"^tiny: .*{FILES[2]} is not the published file"):
        tiny_dataset(origin.as_uri()).load()
    assert not any((cached / name).exists() for name in FILES)


def test_the_partial_download_of_a_killed_process_is_discarded(cached: Path, origin: Path) -> None:
    (cached / ".partial").mkdir(parents=True)
    (cached / ".partial" / FILES[0]).write_bytes(b"half")
    check_complete(tiny_dataset(origin.as_uri()).load())
    assert not (cached / ".partial").exists()


class CountingHandler(SimpleHTTPRequestHandler):
    """A handler that serves a folder and records the requested paths."""

    requests: ClassVar[list[str]] = []

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.requests.append(self.path.removeprefix("/"))


@pytest.fixture
def server(origin: Path) -> Iterator[str]:
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(CountingHandler, directory=str(origin))
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


LOAD = """
import sys
from tests.datasets.files import tiny_dataset
print("ready", flush=True)
print(tiny_dataset(sys.argv[1]).load().train.labels.tolist())
"""


def test_two_processes_download_a_data_set_once(server: str, cached: Path) -> None:
    cached.mkdir(parents=True)
    with FileLock(cached / ".lock"):  # until both are about to download
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", LOAD, server], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.communicate()[0].splitlines()[-1] == "[0, 1, 2, 1, 0]"
    assert sorted(CountingHandler.requests) == sorted(FILES)


@pytest.mark.parametrize(
    "published", [mnist.PUBLISHED, fashion_mnist.PUBLISHED], ids=lambda published: published.name
)
def test_idx_files_of_another_data_set_are_refused(
    data_folder: Path, published: PublishedDataset
) -> None:
    publish(data_folder / published.folder, tiny_idx())
    with pytest.raises(DataUnavailable, match=f"^{published.name}: .*is not the published file"):
        published.load()


def test_mnist_in_keras_form_is_read_too(data_folder: Path) -> None:
    publish(data_folder / "mnist", {"mnist.npz": b"another"})
    with pytest.raises(DataUnavailable, match=r"^mnist: .*mnist\.npz is not the published file"):
        mnist.PUBLISHED.load()


def test_mnist_in_keras_form_is_decoded_like_the_idx_files(tmp_path: Path) -> None:
    train_images = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
    test_images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    labels = np.arange(7, dtype=np.uint8)
    file = tmp_path / "mnist.npz"
    arrays = {"x_train": train_images, "y_train": labels[:5]}
    np.savez_compressed(file, x_test=test_images, y_test=labels[5:], **arrays)
    train, test = mnist.decode_npz([file.read_bytes()])
    assert train.images.shape == (5, 2, 3, 1)
    assert train.images.ravel() == pytest.approx(np.arange(30) / 127.5 - 1)
    assert test.images.shape == (2, 2, 3, 1)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 3, 4], [5, 6])
