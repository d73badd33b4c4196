from pathlib import Path

import pytest

from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of, sha256_of_file
from harness.store.files.artifacts import ArtifactFiles, FileState
from tests.store.examples import run_processes, save_together

CONTENT = b"TFL3 and so on" * 1000
SHA256 = sha256_of(CONTENT)


@pytest.fixture
def files(tmp_path: Path) -> ArtifactFiles:
    return ArtifactFiles(tmp_path / "artifacts")


def damage(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_saved_file_is_intact_and_named_by_its_hash(files: ArtifactFiles) -> None:
    assert files.save(CONTENT) == SHA256
    assert files.state(SHA256) is FileState.INTACT
    assert files.verify(SHA256) == files.path(SHA256)
    assert files.verify(SHA256).read_bytes() == CONTENT
    assert files.verify(SHA256).stem == SHA256


def test_saving_again_leaves_the_file_alone(files: ArtifactFiles) -> None:
    files.save(CONTENT)
    before = files.path(SHA256).stat()
    files.save(CONTENT)
    after = files.path(SHA256).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_saving_leaves_no_other_files(files: ArtifactFiles, tmp_path: Path) -> None:
    files.save(CONTENT)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [files.path(SHA256)]


def test_a_missing_file_is_noticed(files: ArtifactFiles) -> None:
    assert files.state(SHA256) is FileState.MISSING
    with pytest.raises(CaseFailed, match=rf"{SHA256[:12]}.*missing.*submit") as failed:
        files.verify(SHA256)
    assert failed.value.reason is Reason.HASH_MISMATCH


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", b"y" + CONTENT[1:]])
def test_a_corrupt_file_is_noticed_and_saving_replaces_it(
    files: ArtifactFiles, content: bytes
) -> None:
    damage(files.path(SHA256), content)
    assert files.state(SHA256) is FileState.CORRUPT
    with pytest.raises(CaseFailed, match="corrupt") as failed:
        files.verify(SHA256)
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert files.save(CONTENT) == SHA256
    assert files.verify(SHA256).read_bytes() == CONTENT


def test_processes_that_save_the_same_bytes_at_once_leave_one_intact_file_each(
    tmp_path: Path,
) -> None:
    contents = [bytes([number]) * 2_000_000 for number in range(10)]
    assert run_processes(save_together, [(tmp_path, contents)] * 2) == [0, 0]
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.stem for path in paths) == sorted(map(sha256_of, contents))
    assert all(sha256_of_file(path) == path.stem for path in paths)
