"""The inputs that a model is measured with."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tflite.TensorType import TensorType

from harness.conversion.anatomy import Tensor
from harness.conversion.inputs import (
    InputChoices,
    choose_inputs,
    parse_choices,
    read_values,
    suggest_ranges,
)
from harness.core.bench import ModelInput
from harness.core.errors import RequestError
from harness.core.ids import sha256_of
from tests.conversion.test_anatomy import build_model

IMAGE = Tensor("image", (1, 1, 1, 3), dtype="float32", dynamic=(1, 2))
BATCH = Tensor("image", (1, 28, 28, 1), dtype="float32", dynamic=(0,))
SCALAR = Tensor("scale", (), dtype="float32")
MAGIC = b"\x93NUMPY\x01\x00"
WORDS = Tensor("serving_default_words:0", (1, 12), dtype="int32")
TOKENS = Tensor("tokens", (1,), dtype="int64", dynamic=(0,))


def choose(*tensors: Tensor, shapes: tuple[str, ...] = (), ranges: tuple[str, ...] = ()) -> object:
    return choose_inputs("a.tflite", tensors, choices=parse_choices(shapes, ranges))


def test_fixed_shapes_and_a_dynamic_batch_leave_the_choice_to_the_tool() -> None:
    assert choose(WORDS) == ()
    assert choose(BATCH) == ()


@pytest.mark.parametrize(
    ("tensor", "advice"),
    [
        (
            IMAGE,
            r"image has no fixed size \(1 × \? × \? × 3\); add --input-shape image:1,224,224,3",
        ),
        (TOKENS, r"tokens has no fixed size \(\?\); add --input-shape tokens:128,"),
    ],
)
def test_an_open_size_is_asked_for_with_the_option_to_type(tensor: Tensor, advice: str) -> None:
    with pytest.raises(RequestError, match=advice):
        choose(WORDS, tensor)


def test_all_inputs_are_given_once_one_is_chosen() -> None:
    chosen = choose(
        IMAGE, WORDS, shapes=("image:1,64,32,3",), ranges=("serving_default_words:0:0,99",)
    )
    assert chosen == (
        ModelInput("image", (1, 64, 32, 3), resized=True),
        ModelInput("serving_default_words:0", (1, 12), low=0, high=99),
    )
    assert choose(BATCH, shapes=("image:8,28,28,1",)) == (
        ModelInput("image", (8, 28, 28, 1), resized=True),
    )


@pytest.mark.parametrize(
    ("shapes", "ranges", "message"),
    [
        (("image",), (), "write NAME:SIZES"),
        (("image:1,64,64",), (), "is 1 × . × . × 3, which 1,64,64 does not fit"),
        (("image:1,64,64,4",), (), "which 1,64,64,4 does not fit"),
        (("image:2,64,64,3",), (), "does not fit"),
        (("image:1,0,64,3",), (), "give whole numbers from 1"),
        (("image:1,6.5,64,3",), (), "give whole numbers from 1"),
        (("image:1,²,64,3",), (), "give whole numbers from 1"),
        (("image:1,99999,99999,3",), (), "give a smaller shape"),
        (("image:1,64,64,3", "image:1,32,32,3"), (), "has two of them"),
        (("image:1,64,64,3",), ("image:1",), "the least and the largest whole number"),
        (("image:1,64,64,3",), ("image:5,4",), "the least value comes first"),
        (("image:1,64,64,3",), ("image:0,1_0",), "the least and the largest whole number"),
        (("image:1,64,64,3",), ("image:0,0.5",), "the least and the largest whole number"),
        (("image:1,64,64,3",), ("serving_default_words:0:0,3000000000",), "is int32, which may"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(
    shapes: tuple[str, ...], ranges: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        choose(IMAGE, WORDS, shapes=shapes, ranges=ranges)


def choose_file(file: Path, content: bytes, tensor: Tensor, *shapes: str) -> ModelInput:
    file.write_bytes(content)
    choices = parse_choices(shapes, [], files=[f"{tensor.name}:{file}"])
    values = read_values("a.tflite", [tensor], choices=choices)
    (chosen,) = choose_inputs("a.tflite", [tensor], choices=choices, values=values)
    assert chosen.values == sha256_of(values[tensor.name].tobytes())
    return chosen


def save(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def test_a_file_has_the_values_and_numpys_has_their_shape(tmp_path: Path) -> None:
    words = np.arange(12, dtype=">i4").reshape(1, 12)
    raw = words.astype("<i4").tobytes()
    for content in (raw, save(words), save(np.asfortranarray(words))):
        chosen = choose_file(tmp_path / "words", content, WORDS)
        assert chosen == ModelInput(WORDS.name, (1, 12), values=sha256_of(raw))
    image = np.ones((1, 20, 30, 3), np.float32)
    assert choose_file(tmp_path / "image", save(image), IMAGE).shape == (1, 20, 30, 3)
    chosen = choose_file(tmp_path / "image", image.tobytes(), IMAGE, "image:1,20,30,3")
    assert chosen.values == sha256_of(image.tobytes())


@pytest.mark.parametrize(
    ("content", "tensor", "message"),
    [
        (b"", WORDS, r"has 0 bytes, but the input serving_.* has 48 \(1,12 of int32\)"),
        (bytes(47), WORDS, "has 47 bytes"),
        (bytes(12), IMAGE, "image has no fixed size"),
        (bytes(12), Tensor("text", (1,), dtype="string"), "text is string, which takes no file"),
        (save([[1.5]]), WORDS, "has float64, not int32; convert its values"),
        (save(np.zeros((1, 11), np.int32)), WORDS, "1,11 does not fit; change --input-file"),
        (save(np.ones(1, np.float32)), SCALAR, "is a single value, which 1 does not fit"),
        (bytes(8), SCALAR, r"has 4 \(a single value of float32\)"),
        (save(np.zeros((1, 12), np.int32))[:-1], WORDS, "is damaged or has objects"),
        (save([{}]), WORDS, "is damaged or has objects"),
        (b"\x93NUMPY\x01\x00\x0c\x00{'descr': (\n", WORDS, "is damaged or has objects"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, content: bytes, tensor: Tensor, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        choose_file(tmp_path / "values", content, tensor)


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
@given(content=st.binary(max_size=100), header=st.text("{}()[]'\\\n ,:1L-i4"))
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, header: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "values"
    size = len(header).to_bytes(2, "little")
    for start in (b"", MAGIC, MAGIC + size + header.encode()):
        try:
            choose_file(file, start + content, WORDS)
        except RequestError:
            continue


@pytest.mark.parametrize("name", ["missing", ".", "pipe"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    choices = parse_choices([], [], files=[f"{WORDS.name}:{tmp_path / name}"])
    with pytest.raises(RequestError, match="check the path"):
        read_values("a.tflite", [WORDS], choices=choices)


def test_a_choice_may_use_the_name_of_an_input_in_the_signature() -> None:
    choices = parse_choices(["words:1,12"], ["words:0,99"]).rename({"words": WORDS.name})
    (chosen,) = choose_inputs("a.tflite", [WORDS], choices=choices)
    assert chosen == ModelInput(WORDS.name, (1, 12), low=0, high=99)
    doubled = parse_choices(["words:1,12", f"{WORDS.name}:1,12"], [])
    with pytest.raises(RequestError, match="has --input-shape under two names; keep one"):
        doubled.rename({"words": WORDS.name})


def test_a_failed_look_up_is_explained_by_what_was_fed() -> None:
    model = build_model(("words", TensorType.INT32, [1, 12]))
    assert "give --input-range words:0,99, or" in suggest_ranges(model)
    fed = [ModelInput("words", (1, 12), values="a" * 64)]
    assert suggest_ranges(model, fed).startswith("keep the values in the file from 0 to 99")
    assert suggest_ranges(build_model(("image", TensorType.FLOAT32, [1, 12]))) == ""


def test_a_file_and_a_range_for_one_input_are_refused() -> None:
    with pytest.raises(RequestError, match="words has --input-range and --input-file; remove one"):
        parse_choices([], ["words:0,99"], files=["words:words.npy"])


@given(*[st.lists(st.text(), max_size=3)] * 3)
def test_any_option_is_parsed_or_refused(
    shapes: list[str], ranges: list[str], files: list[str]
) -> None:
    try:
        choices = parse_choices(shapes, ranges, files=files)
    except RequestError:
        return
    assert isinstance(choices, InputChoices)
