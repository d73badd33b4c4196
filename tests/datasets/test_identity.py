"""Names of the user's own data sets, which come from their content."""

import re
import shutil
from pathlib import Path

import pytest

from harness import data
from harness.core.errors import DataUnavailable
from tests.datasets.files import npz_arrays, save_image, save_image_folder, save_npz


def identify(dataset: str) -> str:
    """Identify the data set as a new process would, without the cached result."""
    data.identify.cache_clear()
    return data.identify(dataset)


def hash_digits(path: Path) -> str:
    return identify(str(path)).split("@")[1]


@pytest.fixture(params=["folder", "npz"])
def user_data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return (
        save_npz(tmp_path / "leaves.npz")
        if request.param == "npz"
        else save_image_folder(tmp_path / "leaves")
    )


def test_a_name_is_the_stem_and_twelve_digits(user_data: Path) -> None:
    assert re.fullmatch("leaves@[0-9a-f]{12}", identify(str(user_data)))


def test_a_copy_elsewhere_has_the_same_name(user_data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / user_data.name
    if user_data.is_dir():
        shutil.copytree(user_data, copy)
    else:
        shutil.copy(user_data, copy)
    assert identify(str(copy)) == identify(str(user_data))


def test_a_renamed_file_keeps_its_digits(user_data: Path, tmp_path: Path) -> None:
    digits = hash_digits(user_data)
    renamed = user_data.rename(tmp_path / f"foliage{user_data.suffix}")
    assert identify(str(renamed)) == f"foliage@{digits}"


def test_the_spelling_of_the_path_does_not_matter(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = identify(str(user_data))
    monkeypatch.chdir(user_data.parent)
    monkeypatch.setenv("HOME", str(user_data.parent))
    file = user_data.name
    for path in (f"./{file}", f"../{user_data.parent.name}/{file}", f"~/{file}"):
        assert identify(path) == name
    if user_data.is_dir():
        monkeypatch.chdir(user_data)
        assert identify("./") == name


def test_one_pixel_makes_another_data_set_of_a_file(tmp_path: Path) -> None:
    digits = hash_digits(save_npz(tmp_path / "leaves.npz"))
    images = npz_arrays()["x_train"]
    images[5, 3, 4] ^= 1
    assert hash_digits(save_npz(tmp_path / "leaves.npz", x_train=images)) != digits


def test_one_image_makes_another_data_set_of_a_folder(tmp_path: Path) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    digits = {hash_digits(folder)}
    save_image(folder / "test" / "b" / "1.png", 99)
    digits.add(hash_digits(folder))
    (folder / "test" / "b" / "1.png").rename(folder / "test" / "a" / "1.png")
    digits.add(hash_digits(folder))
    save_image(folder / "train" / "a" / "new.png", 1)
    digits.add(hash_digits(folder))
    assert len(digits) == 4


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("leaves.npz", r"is 'leaves.npz': leaves.npz: does not exist \(working directory "),
        ("./leaves", r"is './leaves': leaves: does not exist \(working directory "),
        ("~nobody-of-this-name/leaves", "is '~nobody-of-this-name/leaves': .* does not exist"),
        (
            "./notes.txt",
            "is './notes.txt': notes.txt: neither a folder nor a .npz file; give the path",
        ),
    ],
)
def test_a_path_without_a_data_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataUnavailable, match=f"^{message}"):
        identify(path)


def test_a_loaded_data_set_keeps_its_name_when_the_file_changes(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "leaves.npz")
    name = data.identify(str(file))
    loaded = data.load(str(file))
    save_npz(file, x_test=npz_arrays()["x_test"] + 1)
    assert data.identify(str(file)) == data.load(str(file)).name == loaded.name == name
    assert identify(str(file)) != name
