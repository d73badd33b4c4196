"""By what the user's own data are known: their content, wherever it lies."""

import re
import shutil
from pathlib import Path

import pytest

from harness import data
from harness.core.errors import DataUnavailable
from tests.datasets.files import image_folder, own_arrays, own_npz, save_image


def identify(dataset: str) -> str:
    """As another process would, that has not seen it before."""
    data.identify.cache_clear()
    return data.identify(dataset)


def digits_of(path: Path) -> str:
    return identify(str(path)).split("@")[1]


@pytest.fixture(params=["folder", "npz"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return (
        own_npz(tmp_path / "leaves.npz")
        if request.param == "npz"
        else image_folder(tmp_path / "leaves")
    )


def test_it_is_the_stem_and_twelve_digits(own: Path) -> None:
    assert re.fullmatch("leaves@[0-9a-f]{12}", identify(str(own)))


def test_a_copy_elsewhere_is_the_same(own: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / own.name
    if own.is_dir():
        shutil.copytree(own, copy)
    else:
        shutil.copy(own, copy)
    assert identify(str(copy)) == identify(str(own))


def test_under_another_name_the_digits_are_the_same(own: Path, tmp_path: Path) -> None:
    before = digits_of(own)
    renamed = own.rename(tmp_path / f"foliage{own.suffix}")
    assert identify(str(renamed)) == f"foliage@{before}"


def test_how_the_path_is_written_does_not_matter(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identify(str(own))
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv("HOME", str(own.parent))
    for written in (f"./{own.name}", f"../{own.parent.name}/{own.name}", f"~/{own.name}"):
        assert identify(written) == before
    if own.is_dir():
        monkeypatch.chdir(own)
        assert identify("./") == before


def test_one_pixel_makes_another_data_set_of_a_file(tmp_path: Path) -> None:
    before = digits_of(own_npz(tmp_path / "leaves.npz"))
    images = own_arrays()["x_train"]
    images[5, 3, 4] ^= 1
    assert digits_of(own_npz(tmp_path / "leaves.npz", x_train=images)) != before


def test_one_image_makes_another_data_set_of_a_folder(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "leaves")
    found = {digits_of(folder)}
    save_image(folder / "test" / "b" / "1.png", 99)
    found.add(digits_of(folder))
    (folder / "test" / "b" / "1.png").rename(folder / "test" / "a" / "1.png")
    found.add(digits_of(folder))
    save_image(folder / "train" / "a" / "new.png", 1)
    found.add(digits_of(folder))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("leaves.npz", "is 'leaves.npz': leaves.npz: is not there, seen from "),
        ("./leaves", "is './leaves': leaves: is not there, seen from "),
        ("~nobody-of-this-name/leaves", "is '~nobody-of-this-name/leaves': .* is not there"),
        (
            "./notes.txt",
            "is './notes.txt': notes.txt: is neither a folder nor a .npz file; give the path",
        ),
    ],
)
def test_what_is_not_there_or_no_data_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataUnavailable, match=f"^{words}"):
        identify(path)


def test_what_was_loaded_keeps_its_name_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    file = own_npz(tmp_path / "leaves.npz")
    before = data.identify(str(file))
    loaded = data.load(str(file))
    own_npz(file, x_test=own_arrays()["x_test"] + 1)
    assert data.identify(str(file)) == data.load(str(file)).name == loaded.name == before
    assert identify(str(file)) != before
