"""The anatomy of two real artifacts, and of damaged files.

The artifacts are multi-layer perceptrons with 3 hidden layers of 64 units.
They take 8x8 images of 10 classes.
"""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.conversion.anatomy import (
    IDENTIFIER,
    Tensor,
    read_anatomy,
    read_input_names,
    read_inputs,
    read_outputs,
)
from harness.conversion.lint import lint
from harness.core.sweep import Anatomy
from tests.processor_time import bounded_time

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY = (MODELS / "binary_64.tflite").read_bytes()
FLOAT = (MODELS / "float_64.tflite").read_bytes()
EVERY_MODEL = [file.read_bytes() for file in sorted(MODELS.glob("*.tflite"))]
PIXELS, UNITS, CLASSES = 8 * 8, 64, 10
FIRST, HIDDEN, LAST = PIXELS * UNITS, UNITS * UNITS, UNITS * CLASSES


def test_a_float_network_is_three_hidden_layers_and_an_output_layer() -> None:
    assert read_anatomy(FLOAT) == Anatomy(
        {"CONV_2D": 4, "RESHAPE": 2, "SOFTMAX": 1},
        binary_macs=0,
        float_macs=FIRST + 2 * HIDDEN + LAST,
        signature="serving_default",
    )


def test_a_binary_networks_first_layer_takes_real_values_and_is_float() -> None:
    assert read_anatomy(BINARY) == Anatomy(
        {"CONV_2D": 1, "LceBconv2d": 3, "LceQuantize": 1, "RESHAPE": 2, "SOFTMAX": 1},
        binary_macs=2 * HIDDEN + LAST,
        float_macs=FIRST,
        signature="serving_default",
    )


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_inputs_and_outputs_have_name_shape_and_dtype(model: bytes) -> None:
    assert read_inputs(model) == (Tensor("serving_default_image:0", (1, 8, 8, 1), dtype="float32"),)
    assert read_input_names(model) == {"image": "serving_default_image:0"}
    assert read_outputs(model) == (Tensor("StatefulPartitionedCall:0", (1, 10), dtype="float32"),)


def build_model(*tensors: tuple[str, int, list[int]]) -> bytes:
    """Build a model with all tensors as its inputs, and the last one as its output."""
    builder = flatbuffers.Builder()
    offsets = []
    for name, type, sizes in tensors:
        label = builder.CreateString(name)
        shape = builder.CreateNumpyVector(np.array(sizes, np.int32))
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, label)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, type)
        offsets.append(tflite.TensorEnd(builder))
    tflite.SubGraphStartTensorsVector(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    tensor_vector = builder.EndVector()
    inputs = builder.CreateNumpyVector(np.arange(len(offsets), dtype=np.int32))
    outputs = builder.CreateNumpyVector(np.array([len(offsets) - 1], np.int32))
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensor_vector)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    graph = tflite.SubGraphEnd(builder)
    tflite.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddSubgraphs(builder, graphs)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def test_a_dynamic_dimension_is_read_as_1() -> None:
    model = build_model(
        ("image", tflite.TensorType.UINT8, [-1, 28, 28, 3]), ("mask", tflite.TensorType.BOOL, [])
    )
    mask = Tensor("mask", (), dtype="bool")
    image = Tensor("image", (1, 28, 28, 3), dtype="uint8", dynamic=(0,))
    assert read_inputs(model) == (image, mask)
    assert read_outputs(model) == (mask,)


@pytest.mark.parametrize(
    "type", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "complex64"]
)
def test_types_are_named_as_in_numpy(type: str) -> None:
    (tensor,) = read_inputs(build_model(("x", getattr(tflite.TensorType, type.upper()), [1])))
    assert np.dtype(tensor.dtype).name == type


def test_types_that_numpy_lacks_are_named_too() -> None:
    model = build_model(
        ("tokens", tflite.TensorType.STRING, [1]), ("weights", tflite.TensorType.INT4, [2])
    )
    assert [tensor.dtype for tensor in read_inputs(model)] == ["string", "int4"]


def test_twins_do_the_same_work() -> None:
    binary, twin = read_anatomy(BINARY), read_anatomy(FLOAT)
    assert (binary.binary_macs, binary.float_macs) == (2 * HIDDEN + LAST, FIRST)
    assert twin.float_macs == 12_928


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\0\0\0\0TFL2" + b"\0" * 100, b"PK\3\4" + b"\0" * 100, BINARY[1:]]
)
def test_a_file_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
        read_anatomy(content)


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_a_truncated_model_is_refused_at_every_length(model: bytes) -> None:
    complete, refused = read_anatomy(model), 0
    for length in (*range(64), *range(64, len(model) - 1, 97)):
        try:
            anatomy = read_anatomy(model[:length])
        except ValueError:
            refused += 1
        else:
            assert anatomy == complete  # only bytes that the anatomy does not need are missing
    assert refused > 100


@pytest.mark.parametrize(
    ("original", "replacement"),
    [
        (b"channels_in", b"channels_on"),
        (b"LceBconv2d", b"\xffceBconv2d"),
        (b"channels_in", b"\xffhannels_in"),
    ],
)
def test_an_unreadable_binary_convolution_is_refused(original: bytes, replacement: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a "):
        read_anatomy(BINARY.replace(original, replacement))


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_after_the_identifier_are_refused(noise: bytes) -> None:
    read_or_refuse(noise[:4].ljust(4, b"\0") + IDENTIFIER + noise[4:])


@given(st.lists(st.integers(0, 255), min_size=4, max_size=60), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_small_offsets_after_the_identifier_are_refused(offsets: list[int], root: int) -> None:
    """More of these offsets stay within the file than random bytes would."""
    read_or_refuse(
        root.to_bytes(4, "little")
        + IDENTIFIER
        + b"".join(offset.to_bytes(4, "little") for offset in offsets)
    )


WORDS = st.sampled_from([0, 1, 127, 255, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1])


@given(st.sampled_from(EVERY_MODEL), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_model_is_read_or_refused_in_a_second(model: bytes, data: st.DataObject) -> None:
    """Single bytes and whole words change: offsets, lengths, shapes and indices."""
    damaged = bytearray(model)
    for position in data.draw(st.lists(structure_positions(len(model)), min_size=1, max_size=8)):
        change = data.draw(st.integers(0, 255).map(lambda byte: bytes([byte])) | WORDS.map(to_word))
        damaged[position : position + len(change)] = change
    read_or_refuse(bytes(damaged))


def to_word(number: int) -> bytes:
    return number.to_bytes(4, "little")


def structure_positions(length: int) -> st.SearchStrategy[int]:
    """Return positions near both ends, where the tables are; weights fill the middle."""
    return st.integers(0, min(600, length - 1)) | st.integers(max(length - 6000, 0), length - 1)


def read_or_refuse(content: bytes) -> None:
    """Check that any bytes either are read or raise a ValueError with the expected message."""
    for read in (read_anatomy, read_inputs, read_input_names, read_outputs, lint):
        try:
            with bounded_time():
                read(content)
        except ValueError as error:
            if not str(error).startswith("not a "):
                raise


def test_a_loop_over_a_sequence_counts_each_step() -> None:
    """The recurrent layer of 4 units reads 6 steps of 5 values; its file has a WHILE."""
    anatomy = read_anatomy((MODELS / "gru_4.tflite").read_bytes())
    assert anatomy.operators["WHILE"] == 1
    assert anatomy.float_macs == 6 * 3 * 4 * (5 + 4)


def test_a_custom_operator_is_not_taken_for_a_builtin_one_of_the_same_name() -> None:
    """Nothing tells what a custom operator multiplies, whatever it is called."""
    renamed = BINARY.replace(b"\x0b\0\0\0LceQuantize\0", b"\x07\0\0\0SOFTMAX\0\0\0\0\0")
    anatomy = read_anatomy(renamed)
    assert anatomy.operators["CUSTOM_SOFTMAX"] == anatomy.operators["SOFTMAX"] == 1
    assert anatomy.float_macs is None
