"""Two real artifacts: multi-layer perceptrons with 3 hidden layers of 64 units, on 8x8 images of 10 classes."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.conversion.anatomy import IDENTIFIER, anatomy
from harness.core.sweep import Anatomy

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY = (MODELS / "binary_64.tflite").read_bytes()
FLOAT = (MODELS / "float_64.tflite").read_bytes()
PIXELS, UNITS, CLASSES = 8 * 8, 64, 10
FIRST, HIDDEN, LAST = PIXELS * UNITS, UNITS * UNITS, UNITS * CLASSES


def test_a_float_network_is_three_hidden_layers_and_an_output_layer() -> None:
    assert anatomy(FLOAT) == Anatomy(
        {"CONV_2D": 4, "RESHAPE": 2, "SOFTMAX": 1}, binary_macs=0, float_macs=FIRST + 2 * HIDDEN + LAST
    )


def test_a_binary_networks_first_layer_takes_real_values_and_is_float() -> None:
    assert anatomy(BINARY) == Anatomy(
        {"CONV_2D": 1, "LceBconv2d": 3, "LceQuantize": 1, "RESHAPE": 2, "SOFTMAX": 1},
        binary_macs=2 * HIDDEN + LAST,
        float_macs=FIRST,
    )


def test_twins_do_the_same_work() -> None:
    binary, full = anatomy(BINARY), anatomy(FLOAT)
    assert binary.binary_macs + binary.float_macs == full.float_macs == 12_928


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL2" + b"\0" * 100, b"PK\3\4" + b"\0" * 100, BINARY[1:]])
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
    [(b"channels_in", b"channels_on"), (b"LceBconv2d", b"\xffceBconv2d"), (b"channels_in", b"\xffhannels_in")],
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
def test_small_offsets_under_the_identifier_are_refused_in_words(offsets: list[int], root: int) -> None:
    """More of these lead somewhere than of random bytes."""
    told(root.to_bytes(4, "little") + IDENTIFIER + b"".join(offset.to_bytes(4, "little") for offset in offsets))


@given(st.sampled_from([BINARY, FLOAT]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_model_with_damaged_bytes_is_counted_or_refused_in_words(model: bytes, data: st.DataObject) -> None:
    damaged = bytearray(model)
    for position in data.draw(st.lists(structure(len(model)), min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    told(bytes(damaged))


def structure(length: int) -> st.SearchStrategy[int]:
    """Positions near both ends, where the tables lie; weights fill the middle."""
    return st.integers(0, 600) | st.integers(length - 6000, length - 1)


def told(content: bytes) -> None:
    """Whatever the bytes: an anatomy, or a ValueError that says what the file is not."""
    try:
        anatomy(content)
    except ValueError as error:
        if not str(error).startswith("is no "):
            raise
