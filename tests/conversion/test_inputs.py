"""The inputs that a model is measured with."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.conversion.anatomy import Tensor
from harness.conversion.inputs import InputChoices, choose_inputs, parse_choices, read_values
from harness.core.bench import ModelInput
from harness.core.errors import RequestError
from harness.core.ids import sha256_of

IMAGE = Tensor("image", (1, 1, 1, 3), "float32", dynamic=(1, 2))
BATCH = Tensor("image", (1, 28, 28, 1), "float32", dynamic=(0,))
WORDS = Tensor("serving_default_words:0", (1, 12), "int32")
TOKENS = Tensor("tokens", (1,), "int64", dynamic=(0,))


def choose(*tensors: Tensor, shapes: tuple[str, ...] = (), ranges: tuple[str, ...] = ()) -> object:
    return choose_inputs("a.tflite", tensors, parse_choices(shapes, ranges))


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
        ModelInput("image", (1, 64, 32, 3)),
        ModelInput("serving_default_words:0", (1, 12), low=0, high=99),
    )
    assert choose(BATCH, shapes=("image:8,28,28,1",)) == (ModelInput("image", (8, 28, 28, 1)),)


@pytest.mark.parametrize(
    ("shapes", "ranges", "message"),
    [
        (("image",), (), "write NAME:VALUES"),
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
    choices = parse_choices(shapes, [], [f"{tensor.name}:{file}"])
    values = read_values("a.tflite", [tensor], choices)
    (chosen,) = choose_inputs("a.tflite", [tensor], choices, values=values)
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
        (b"", WORDS, "has 0 bytes, but the input serving_default_words:0 has 1 × 12 values"),
        (bytes(47), WORDS, "has 47 bytes"),
        (bytes(12), IMAGE, "image has no fixed size"),
        (bytes(12), Tensor("text", (1,), "string"), "text is string, which takes no file"),
        (save([[1.5]]), WORDS, "has float64, not int32; convert its values"),
        (save(np.zeros((1, 11), np.int32)), WORDS, "which 1,11 does not fit"),
        (save(np.zeros((1, 12), np.int32))[:-1], WORDS, "is damaged or has objects"),
        (save([{}]), WORDS, "is damaged or has objects"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, content: bytes, tensor: Tensor, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        choose_file(tmp_path / "values", content, tensor)


@given(content=st.binary(max_size=100))
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "values"
    for start in (b"", b"\x93NUMPY\x01\x00"):
        try:
            choose_file(file, start + content, WORDS)
        except RequestError:
            continue


def test_a_file_and_a_range_for_one_input_are_refused() -> None:
    with pytest.raises(RequestError, match="words has --input-range and --input-file; remove one"):
        parse_choices([], ["words:0,99"], ["words:words.npy"])


@given(*[st.lists(st.text(), max_size=3)] * 3)
def test_any_option_is_parsed_or_refused(
    shapes: list[str], ranges: list[str], files: list[str]
) -> None:
    try:
        choices = parse_choices(shapes, ranges, files)
    except RequestError:
        return
    assert isinstance(choices, InputChoices)
