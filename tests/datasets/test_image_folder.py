import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import DataUnavailable
from harness.data import identify, load
from tests.datasets.files import image_folder, save_image


def test_classes_and_images_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = load(str(image_folder(tmp_path / "leaves")))
    assert (found.classes, found.shape, found.name) == (
        2,
        (3, 4, 3),
        identify(str(tmp_path / "leaves")),
    )
    assert found.train.labels.tolist() == found.test.labels.tolist() == [0, 0, 1, 1]
    reds, greens = (
        np.rint((found.train.images[:, 0, 0, channel] + 1) * 127.5) for channel in (0, 1)
    )
    assert reds.tolist() == [2, 3, 1, 0]  # a/x, a/y, b/0, b/1
    assert greens.tolist() == [102, 103, 101, 100]
    assert np.rint((found.test.images[:, 0, 0, 0] + 1) * 127.5).tolist() == [12, 13, 11, 10]


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    assert load(str(image_folder(tmp_path / "leaves", mode="L"))).shape == (3, 4, 1)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "leaves", size=(8, 8), mode="L")
    save_image(folder / "train" / "a" / "photo.jpg", 200, size=(8, 8), mode="L")
    assert np.rint((load(str(folder)).train.images[0] + 1) * 127.5) == pytest.approx(
        200, abs=3
    )  # photo < x


def test_hidden_files_and_files_beside_the_classes_do_not_count(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "leaves")
    before = identify(str(folder))
    (folder / "README.txt").write_text("where they are from")
    (folder / "train" / "labels.csv").write_text("a,b")
    (folder / "train" / "a" / ".DS_Store").write_bytes(b"\0")
    identify.cache_clear()
    assert identify(str(folder)) == before
    assert len(load(str(folder)).train) == 4


@pytest.mark.parametrize(
    ("size", "mode", "words"),
    [
        ((5, 3), "RGB", "is 5x3 RGB, but .*/train/a/x.png is 4x3 RGB; make all images alike"),
        ((4, 3), "L", "is 4x3 grey, but .*/train/a/x.png is 4x3 RGB"),
        ((4, 3), "RGBA", r"is of mode RGBA; save it as grey \(L\) or RGB"),
        ((4, 3), "P", "is of mode P; save it as"),
    ],
)
@pytest.mark.parametrize("where", ["train/a/y.png", "test/b/1.png"])
def test_the_first_image_that_differs_is_named(
    tmp_path: Path, where: str, size: tuple[int, int], mode: str, words: str
) -> None:
    folder = image_folder(tmp_path / "leaves")
    save_image(folder / where, 7, size=size, mode=mode)
    with pytest.raises(DataUnavailable, match=f"^{folder / where}: {words}"):
        load(str(folder))


@pytest.mark.parametrize("kept", [0, 4, 40, 50], ids=lambda kept: f"{kept}_bytes")
def test_an_image_that_was_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    folder = image_folder(tmp_path / "leaves")
    cut = folder / "train" / "b" / "1.png"
    cut.write_bytes(cut.read_bytes()[:kept])
    with pytest.raises(
        DataUnavailable, match=f"^{cut}: is no image that can be read: .*; mend or remove it"
    ):
        load(str(folder))


def test_an_image_with_a_damaged_byte_is_named(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "leaves")
    file = folder / "train" / "a" / "x.png"
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataUnavailable, match=f"^{file}: is no image that can be read"):
        load(str(folder))


def test_a_picture_of_a_kind_that_needs_another_program_is_not_opened(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "leaves")
    drawing = folder / "train" / "a" / "drawing.eps"
    Image.new("RGB", (4, 3)).save(drawing)
    with pytest.raises(
        DataUnavailable,
        match=r"drawing\.eps: is no image by its name \(\.png, \.jpg, .*\.webp\); remove",
    ):
        identify(str(folder))
    drawing.rename(drawing.with_suffix(".png"))
    with pytest.raises(DataUnavailable, match=r"drawing\.png: is no image that can be read"):
        load(str(folder))


@pytest.mark.parametrize("name", ["notes.txt", "labels", "photo.gif"])
def test_what_is_no_image_by_its_name_is_told_before_anything_is_trained_unless_it_is_hidden(
    tmp_path: Path, name: str
) -> None:
    folder = image_folder(tmp_path / "leaves")
    before = identify(str(folder))
    stray = folder / "test" / "b" / name
    stray.write_text("not one")
    identify.cache_clear()
    with pytest.raises(DataUnavailable, match=f"^is '{folder}': {stray}: is no image by its name"):
        identify(str(folder))
    stray.rename(stray.with_name(f".{name}"))
    assert identify(str(folder)) == before


@pytest.mark.parametrize(
    "suffix", [".JPG", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".PNG"]
)
def test_every_suffix_that_counts_is_read(tmp_path: Path, suffix: str) -> None:
    folder = image_folder(tmp_path / "leaves")
    save_image(folder / "train" / "a" / f"more{suffix}", 5)
    assert len(load(str(folder)).train) == 5


def test_a_folder_that_is_not_as_it_has_to_be_is_told_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    def told(folder: Path, words: str) -> None:
        with pytest.raises(DataUnavailable, match=f"^is '{folder}': {words}"):
            identify(str(folder))
        with pytest.raises(DataUnavailable, match=f"^The data set is '{folder}': {words}"):
            load(str(folder))

    folder = image_folder(tmp_path / "leaves")
    save_image(folder / "test" / "c" / "1.png", 1)
    told(folder, f"{folder}: c is a class in only one of train/ and test/")
    (folder / "test" / "c" / "1.png").unlink()
    told(folder, f"{folder}/test/c: holds no image; add some or remove the class")
    (folder / "test" / "c").rmdir()
    (folder / "test" / "a" / "more").mkdir()
    told(folder, f"{folder}/test/a/more: is no image by its name")
    (folder / "test" / "a" / "more").rename(folder / "test" / "a" / "more.png")
    told(folder, f"{folder}/test/a/more.png can't be read: Is a directory")
    shutil.rmtree(folder / "test")
    told(folder, f"{folder}/test: is no folder; put the images into leaves/test/CLASS/")
    (folder / "test").mkdir()
    told(folder, f"{folder}/test: holds no class; put the images into leaves/test/CLASS/")
