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
from harness.data.downloads import Published
from harness.data.idx import FILES
from tests.datasets.files import publish, tiny, tiny_idx

NOWHERE = "http://127.0.0.1:1"  # nobody listens there
REMEDY = rf"put {FILES[0]}, .* into \$HARNESS_DATA/tiny"


def check_whole(found: Dataset) -> None:
    assert (found.name, found.classes, found.shape) == ("tiny", 3, (2, 3, 1))
    assert found.train.images.ravel() == pytest.approx(np.arange(30) / 127.5 - 1)
    assert found.test.images.ravel() == pytest.approx(np.arange(100, 124) / 127.5 - 1)
    assert found.train.labels.tolist() == [0, 1, 2, 1, 0]
    assert found.test.labels.tolist() == [2, 2, 1, 0]


def damage(file: Path) -> None:
    """One byte is another; it is still whole gzip."""
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[-1] ^= 1
    file.write_bytes(gzip.compress(bytes(content)))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Where a data set is published."""
    publish(tmp_path / "origin", tiny_idx())
    return tmp_path / "origin"


@pytest.fixture
def cached(home: Path) -> Path:
    return home / ".cache" / "harness" / "datasets" / "tiny"


def test_the_users_folder_is_enough(own_folder: Path) -> None:
    publish(own_folder / "tiny", tiny_idx())
    check_whole(tiny(NOWHERE).load())


@pytest.mark.parametrize(
    "place", [".cache/harness/datasets/tiny", ".keras/datasets/tiny", ".keras/datasets"]
)
def test_what_lies_in_a_cache_is_not_fetched(home: Path, place: str) -> None:
    publish(home / place, tiny_idx())
    check_whole(tiny(NOWHERE).load())


def test_how_a_file_is_packed_does_not_matter(own_folder: Path) -> None:
    publish(own_folder / "tiny", tiny_idx())
    for name, content in tiny_idx().items():
        (own_folder / "tiny" / name).write_bytes(gzip.compress(content, compresslevel=1))
    check_whole(tiny(NOWHERE).load())


def test_a_file_with_another_hash_is_refused_by_name(own_folder: Path) -> None:
    publish(own_folder / "tiny", tiny_idx())
    damage(own_folder / "tiny" / FILES[3])
    with pytest.raises(
        DataUnavailable,
        match=rf"^tiny: .*{FILES[3]} is not what was published \(SHA-256 .*{REMEDY}",
    ):
        tiny(NOWHERE).load()


WHOLE_GZIP = gzip.compress(tiny_idx()[FILES[0]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        WHOLE_GZIP[:-9],
        WHOLE_GZIP[:12],
        WHOLE_GZIP[:-8] + b"\0" * 8,
        b"\x1f\x8b\x08\0" + b"\xff" * 60,
    ],
    ids=["empty", "other", "cut", "header_only", "wrong_checksum", "broken_deflate"],
)
def test_a_file_that_is_no_whole_gzip_is_refused_by_name(own_folder: Path, content: bytes) -> None:
    publish(own_folder / "tiny", tiny_idx())
    (own_folder / "tiny" / FILES[0]).write_bytes(content)
    with pytest.raises(DataUnavailable, match=rf"^tiny: .*{FILES[0]} .*{REMEDY}"):
        tiny(NOWHERE).load()


def test_with_a_folder_set_nothing_is_taken_from_elsewhere(
    own_folder: Path, cached: Path, origin: Path
) -> None:
    publish(cached, tiny_idx())
    publish(own_folder / "tiny", {FILES[0]: tiny_idx()[FILES[0]]})
    with pytest.raises(
        DataUnavailable,
        match=rf"^tiny: is not in {own_folder}/tiny, .*while HARNESS_DATA .*{REMEDY}",
    ):
        tiny(origin.as_uri()).load()


def test_what_is_on_no_machine_is_fetched_once_and_kept(cached: Path, origin: Path) -> None:
    check_whole(tiny(origin.as_uri()).load())
    assert {file.name for file in cached.iterdir()} - {".lock"} == set(FILES)
    check_whole(tiny(NOWHERE).load())


def test_a_damaged_cache_is_fetched_again(cached: Path, origin: Path) -> None:
    publish(cached, tiny_idx())
    damage(cached / FILES[0])
    check_whole(tiny(origin.as_uri()).load())
    check_whole(tiny(NOWHERE).load())


def test_a_damaged_cache_that_can_not_be_fetched_again_is_told(cached: Path) -> None:
    publish(cached, tiny_idx())
    damage(cached / FILES[0])
    with pytest.raises(
        DataUnavailable, match=rf"^tiny: could not be fetched: .*{NOWHERE}/{FILES[0]}.*{REMEDY}"
    ):
        tiny(NOWHERE).load()


def test_what_was_fetched_with_another_hash_is_refused_and_not_kept(
    cached: Path, origin: Path
) -> None:
    damage(origin / FILES[2])
    with pytest.raises(DataUnavailable, match=rf"^tiny: .*{FILES[2]} is not what was published"):
        tiny(origin.as_uri()).load()
    assert not any((cached / name).exists() for name in FILES)


def test_what_a_killed_process_had_fetched_by_half_is_fetched_anew(
    cached: Path, origin: Path
) -> None:
    (cached / ".partial").mkdir(parents=True)
    (cached / ".partial" / FILES[0]).write_bytes(b"half")
    check_whole(tiny(origin.as_uri()).load())
    assert not (cached / ".partial").exists()


class Counting(SimpleHTTPRequestHandler):
    """A web server's folder; remembers what was asked for."""

    asked: ClassVar[list[str]] = []

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.asked.append(self.path.removeprefix("/"))


@pytest.fixture
def server(origin: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(origin))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


LOAD = """
import sys
from tests.datasets.files import tiny
print("ready", flush=True)
print(tiny(sys.argv[1]).load().train.labels.tolist())
"""


def test_two_processes_fetch_a_data_set_once(server: str, cached: Path) -> None:
    cached.mkdir(parents=True)
    with FileLock(cached / ".lock"):  # until both are about to fetch
        loading = [
            subprocess.Popen(
                [sys.executable, "-c", LOAD, server], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        assert [process.stdout.readline() for process in loading if process.stdout] == [
            "ready\n"
        ] * 2
    assert [process.communicate()[0].splitlines()[-1] for process in loading] == [
        "[0, 1, 2, 1, 0]"
    ] * 2
    assert sorted(Counting.asked) == sorted(FILES)


@pytest.mark.parametrize(
    "published", [mnist.PUBLISHED, fashion_mnist.PUBLISHED], ids=lambda published: published.name
)
def test_idx_files_of_another_data_set_are_not_taken_for_the_published_ones(
    own_folder: Path, published: Published
) -> None:
    publish(own_folder / published.folder, tiny_idx())
    with pytest.raises(DataUnavailable, match=f"^{published.name}: .*is not what was published"):
        published.load()


def test_mnist_as_keras_keeps_it_is_looked_for_too(own_folder: Path) -> None:
    publish(own_folder / "mnist", {"mnist.npz": b"another"})
    with pytest.raises(DataUnavailable, match=r"^mnist: .*mnist\.npz is not what was published"):
        mnist.PUBLISHED.load()


def test_mnist_in_keras_form_is_decoded_as_the_idx_files_are(tmp_path: Path) -> None:
    train, test = (
        np.arange(30, dtype=np.uint8).reshape(5, 2, 3),
        np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
    )
    labels = np.arange(7, dtype=np.uint8)
    file = tmp_path / "mnist.npz"
    np.savez_compressed(file, x_test=test, x_train=train, y_train=labels[:5], y_test=labels[5:])
    learned, tested = mnist.decode_npz([file.read_bytes()])
    assert learned.images.shape == (5, 2, 3, 1)
    assert learned.images.ravel() == pytest.approx(np.arange(30) / 127.5 - 1)
    assert tested.images.shape == (2, 2, 3, 1)
    assert (learned.labels.tolist(), tested.labels.tolist()) == ([0, 1, 2, 3, 4], [5, 6])
