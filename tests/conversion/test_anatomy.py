"""Two real artifacts: multi-layer perceptrons with 3 hidden layers of 64 units, on 8x8 images of 10 classes."""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.conversion.anatomy import IDENTIFIER, Tensor, anatomy, inputs, outputs
from harness.core.sweep import Anatomy

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY = (MODELS / "binary_64.tflite").read_bytes()
FLOAT = (MODELS / "float_64.tflite").read_bytes()
PIXELS, UNITS, CLASSES = 8 * 8, 64, 10
FIRST, HIDDEN, LAST = PIXELS * UNITS, UNITS * UNITS, UNITS * CLASSES


def test_a_float_network_is_three_hidden_layers_and_an_output_layer() -> None:
    assert anatomy(FLOAT) == Anatomy(
        {"CONV_2D": 4, "RESHAPE": 2, "SOFTMAX": 1},
        binary_macs=0,
        float_macs=FIRST + 2 * HIDDEN + LAST,
    )


def test_a_binary_networks_first_layer_takes_real_values_and_is_float() -> None:
    assert anatomy(BINARY) == Anatomy(
        {"CONV_2D": 1, "LceBconv2d": 3, "LceQuantize": 1, "RESHAPE": 2, "SOFTMAX": 1},
        binary_macs=2 * HIDDEN + LAST,
        float_macs=FIRST,
    )


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_what_goes_in_and_what_comes_out(model: bytes) -> None:
    assert inputs(model) == (Tensor("serving_default_image:0", (1, 8, 8, 1), dtype="float32"),)
    assert outputs(model) == (Tensor("StatefulPartitionedCall:0", (1, 10), dtype="float32"),)


def made_of(*tensors: tuple[str, int, list[int]]) -> bytes:
    """A model that has them all as its inputs, and the last as its output."""
    builder = flatbuffers.Builder()
    made = []
    for name, type, sizes in tensors:
        label, shape = (
            builder.CreateString(name),
            builder.CreateNumpyVector(np.array(sizes, np.int32)),
        )
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, label)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, type)
        made.append(tflite.TensorEnd(builder))
    tflite.SubGraphStartTensorsVector(builder, len(made))
    for one in reversed(made):
        builder.PrependUOffsetTRelative(one)
    listed = builder.EndVector()
    into = builder.CreateNumpyVector(np.arange(len(made), dtype=np.int32))
    out = builder.CreateNumpyVector(np.array([len(made) - 1], np.int32))
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, listed)
    tflite.SubGraphAddInputs(builder, into)
    tflite.SubGraphAddOutputs(builder, out)
    graph = tflite.SubGraphEnd(builder)
    tflite.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddSubgraphs(builder, graphs)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def test_a_dynamic_dimension_is_1_and_a_type_has_numpys_name() -> None:
    model = made_of(
        ("image", tflite.TensorType.UINT8, [-1, 28, 28, 3]), ("mask", tflite.TensorType.BOOL, [])
    )
    mask = Tensor("mask", (), dtype="bool")
    assert inputs(model) == (Tensor("image", (1, 28, 28, 3), dtype="uint8"), mask)
    assert outputs(model) == (mask,)


@pytest.mark.parametrize(
    "type", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "complex64"]
)
def test_a_types_name_is_numpys(type: str) -> None:
    (tensor,) = inputs(made_of(("x", getattr(tflite.TensorType, type.upper()), [1])))
    assert np.dtype(tensor.dtype).name == type


def test_a_type_that_numpy_lacks_is_named_all_the_same() -> None:
    model = made_of(
        ("words", tflite.TensorType.STRING, [1]), ("weights", tflite.TensorType.INT4, [2])
    )
    assert [tensor.dtype for tensor in inputs(model)] == ["string", "int4"]


def test_twins_do_the_same_work() -> None:
    binary, full = anatomy(BINARY), anatomy(FLOAT)
    assert binary.binary_macs + binary.float_macs == full.float_macs == 12_928


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\0\0\0\0TFL2" + b"\0" * 100, b"PK\3\4" + b"\0" * 100, BINARY[1:]]
)
def test_a_file_of_another_kind_is_told_so(content: bytes) -> None:
    with pytest.raises(ValueError, match="is no TensorFlow Lite model"):
        anatomy(content)


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_a_model_that_is_cut_short_is_refused_at_every_length(model: bytes) -> None:
    whole, refused = anatomy(model), 0
    for length in (*range(64), *range(64, len(model) - 1, 97)):
        try:
            found = anatomy(model[:length])
        except ValueError:
            refused += 1
        else:
            assert found == whole  # only what the anatomy does not read was cut off
    assert refused > 100


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"channels_in", b"channels_on"),
        (b"LceBconv2d", b"\xffceBconv2d"),
        (b"channels_in", b"\xffhannels_in"),
    ],
)
def test_a_binary_convolution_that_is_not_lces_is_refused_in_words(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match=r"^is no "):
        anatomy(BINARY.replace(old, new))


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_under_the_identifier_are_refused_in_words(noise: bytes) -> None:
    told(noise[:4].ljust(4, b"\0") + IDENTIFIER + noise[4:])


@given(st.lists(st.integers(0, 255), min_size=4, max_size=60), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_small_offsets_under_the_identifier_are_refused_in_words(
    offsets: list[int], root: int
) -> None:
    """More of these lead somewhere than of random bytes."""
    told(
        root.to_bytes(4, "little")
        + IDENTIFIER
        + b"".join(offset.to_bytes(4, "little") for offset in offsets)
    )


@given(st.sampled_from([BINARY, FLOAT]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_model_with_damaged_bytes_is_counted_or_refused_in_words(
    model: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(model)
    for position in data.draw(st.lists(structure(len(model)), min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    told(bytes(damaged))


def structure(length: int) -> st.SearchStrategy[int]:
    """Positions near both ends, where the tables lie; weights fill the middle."""
    return st.integers(0, 600) | st.integers(length - 6000, length - 1)


def told(content: bytes) -> None:
    """Whatever the bytes: what was asked, or a ValueError that says what the file is not."""
    for read in (anatomy, inputs, outputs):
        try:
            read(content)
        except ValueError as error:
            if not str(error).startswith("is no "):
                raise
