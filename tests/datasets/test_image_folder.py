import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import DataUnavailable
from harness.data import identify, load
from tests.datasets.files import save_image, save_image_folder


def test_classes_and_images_are_sorted_by_name(tmp_path: Path) -> None:
    dataset = load(str(save_image_folder(tmp_path / "leaves")))
    assert (dataset.classes, dataset.shape, dataset.name) == (
        2,
        (3, 4, 3),
        identify(str(tmp_path / "leaves")),
    )
    assert dataset.train.labels.tolist() == dataset.test.labels.tolist() == [0, 0, 1, 1]
    reds, greens = (
        np.rint((dataset.train.images[:, 0, 0, channel] + 1) * 127.5) for channel in (0, 1)
    )
    assert reds.tolist() == [2, 3, 1, 0]  # a/x, a/y, b/0, b/1
    assert greens.tolist() == [102, 103, 101, 100]
    assert np.rint((dataset.test.images[:, 0, 0, 0] + 1) * 127.5).tolist() == [12, 13, 11, 10]


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    assert load(str(save_image_folder(tmp_path / "leaves", mode="L"))).shape == (3, 4, 1)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    folder = save_image_folder(tmp_path / "leaves", size=(8, 8), mode="L")
    save_image(folder / "train" / "a" / "photo.jpg", 200, size=(8, 8), mode="L")
    (photo, *_) = load(str(folder)).train.images  # the first by name
    assert np.rint((photo + 1) * 127.5) == pytest.approx(200, abs=3)


def test_hidden_files_and_files_outside_the_classes_are_ignored(tmp_path: Path) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    name = identify(str(folder))
    (folder / "README.txt").write_text("where they are from")
    (folder / "train" / "labels.csv").write_text("a,b")
    (folder / "train" / "a" / ".DS_Store").write_bytes(b"\0")
    identify.cache_clear()
    assert identify(str(folder)) == name
    assert len(load(str(folder)).train) == 4


@pytest.mark.parametrize(
    ("size", "mode", "message"),
    [
        ((5, 3), "RGB", "is 5x3 RGB, but .*/train/a/x.png is 4x3 RGB; give all images one size"),
        ((4, 3), "L", "is 4x3 grey, but .*/train/a/x.png is 4x3 RGB"),
        ((4, 3), "RGBA", r"has the mode RGBA; save it as grey \(L\) or RGB"),
        ((4, 3), "P", "has the mode P; save it as"),
    ],
)
@pytest.mark.parametrize("image", ["train/a/y.png", "test/b/1.png"])
def test_the_first_image_of_another_size_or_mode_is_named(
    tmp_path: Path, image: str, size: tuple[int, int], mode: str, message: str
) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    save_image(folder / image, 7, size=size, mode=mode)
    with pytest.raises(DataUnavailable, match=f"^{folder / image}: {message}"):
        load(str(folder))


@pytest.mark.parametrize("length", [0, 4, 40, 50], ids=lambda length: f"{length}_bytes")
def test_a_truncated_image_is_named(tmp_path: Path, length: int) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    image = folder / "train" / "b" / "1.png"
    image.write_bytes(image.read_bytes()[:length])
    with pytest.raises(
        DataUnavailable, match=f"^{image}: not a readable image: .*; repair or remove it"
    ):
        load(str(folder))


def test_an_image_with_a_damaged_byte_is_named(tmp_path: Path) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    file = folder / "train" / "a" / "x.png"
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataUnavailable, match=f"^{file}: not a readable image"):
        load(str(folder))


def test_a_format_that_needs_another_program_is_not_opened(tmp_path: Path) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    drawing = folder / "train" / "a" / "drawing.eps"
    Image.new("RGB", (4, 3)).save(drawing)
    with pytest.raises(
        DataUnavailable,
        match=r"drawing\.eps: does not have the suffix of an image "
        r"\(\.png, \.jpg, .*\.webp\); remove",
    ):
        identify(str(folder))
    drawing.rename(drawing.with_suffix(".png"))
    with pytest.raises(DataUnavailable, match=r"drawing\.png: not a readable image"):
        load(str(folder))


@pytest.mark.parametrize("name", ["notes.txt", "labels", "photo.gif"])
def test_a_file_with_another_suffix_is_refused_before_training_unless_it_is_hidden(
    tmp_path: Path, name: str
) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    name = identify(str(folder))
    stray = folder / "test" / "b" / name
    stray.write_text("not one")
    identify.cache_clear()
    with pytest.raises(DataUnavailable, match=f"^is '{folder}': {stray}: does not have the suffix"):
        identify(str(folder))
    stray.rename(stray.with_name(f".{name}"))
    assert identify(str(folder)) == name


@pytest.mark.parametrize(
    "suffix", [".JPG", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".PNG"]
)
def test_images_of_every_supported_suffix_are_read(tmp_path: Path, suffix: str) -> None:
    folder = save_image_folder(tmp_path / "leaves")
    save_image(folder / "train" / "a" / f"more{suffix}", 5)
    assert len(load(str(folder)).train) == 5


def test_a_wrong_folder_structure_is_refused_before_training(
    tmp_path: Path,
) -> None:
    def check_refusal(folder: Path, message: str) -> None:
        with pytest.raises(DataUnavailable, match=f"^is '{folder}': {message}"):
            identify(str(folder))
        with pytest.raises(DataUnavailable, match=f"^The data set is '{folder}': {message}"):
            load(str(folder))

    folder = save_image_folder(tmp_path / "leaves")
    save_image(folder / "test" / "c" / "1.png", 1)
    check_refusal(folder, f"{folder}: the class 'c' is in only one of train/ and test/")
    (folder / "test" / "c" / "1.png").unlink()
    check_refusal(folder, f"{folder}/test/c: contains no image; add some or remove the class")
    (folder / "test" / "c").rmdir()
    (folder / "test" / "a" / "more").mkdir()
    check_refusal(folder, f"{folder}/test/a/more: does not have the suffix of an image")
    (folder / "test" / "a" / "more").rename(folder / "test" / "a" / "more.png")
    check_refusal(folder, f"{folder}/test/a/more.png can't be read: Is a directory")
    shutil.rmtree(folder / "test")
    check_refusal(folder, f"{folder}/test: not a folder; put the images into leaves/test/CLASS/")
    (folder / "test").mkdir()
    check_refusal(
        folder, f"{folder}/test: contains no class; put the images into leaves/test/CLASS/"
    )
