"""Counted work of converted networks, compared with Larq's own count and with sums by hand."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

from harness.conversion.anatomy import read_anatomy
from harness.conversion.convert import convert
from harness.core.sweep import Precision

pytestmark = pytest.mark.full
NO_SAMPLES = np.zeros(0, np.float32)
IMAGE, VOLUME, STEPS, FEATURES = (12, 10, 64), (6, 8, 8, 4), 7, 20


def layer(name: str, *arguments: Any, **settings: Any) -> Any:
    from harness.models.keras import layers

    return getattr(layers, name)(*arguments, **settings)


def larq_layer(name: str, *arguments: Any, **settings: Any) -> Any:
    from harness.models.keras import larq

    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    return getattr(larq.layers, name)(*arguments, **{**signs, **settings})


def build(shape: tuple[int | None, ...], *layers: Any) -> Any:
    from harness.models.keras import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input(shape), *layers])


def convert_by_tensorflow(model: Any, batch: int | None = 1) -> bytes:
    from harness.models.keras import tf

    inputs = [tf.TensorSpec((batch, *model.input_shape[1:]), tf.float32)]
    function = tf.function(lambda image: model(image, training=False))
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function(*inputs)], model
    )
    return bytes(converter.convert())


# Keras's layers that Larq counts, alone and on an image.
PLAIN = [
    partial(layer, "Conv2D", 16, size, strides=stride, padding=padding, groups=groups)
    for size, stride, padding, groups in product((1, 3), (1, 2), ("same", "valid"), (1, 4))
] + [
    partial(layer, "DepthwiseConv2D", size, depth_multiplier=multiplier, strides=stride)
    for size, multiplier, stride in product((2, 3), (1, 2), (1, 2))
]


def describe(make_layer: Any) -> str:
    return " ".join(map(str, (*make_layer.args, make_layer.keywords)))


@pytest.mark.parametrize("make_layer", PLAIN, ids=describe)
def test_float_layers_are_counted_as_larq_counts_them(make_layer: Callable[[], Any]) -> None:
    from harness.models.keras import larq

    model = build(IMAGE, make_layer())
    anatomy = read_anatomy(convert_by_tensorflow(model))
    assert anatomy.float_macs == larq.models.ModelProfile(model).op_count("mac") > 0
    assert anatomy.binary_macs == 0


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_binary_layers_are_counted_as_larq_counts_them(size: int, stride: int, groups: int) -> None:
    from harness.models.keras import larq

    binary = larq_layer(
        "QuantConv2D", 32, size, strides=stride, groups=groups, padding="same", pad_values=1.0
    )
    model = build(IMAGE, binary)
    anatomy = read_anatomy(convert(model, Precision.BINARY, samples=NO_SAMPLES))
    assert anatomy.binary_macs == larq.models.ModelProfile(model).op_count("mac", 1) > 0
    assert anatomy.float_macs == 0


# Unrolled, the first state is known to be 0.
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
UNITS = 8
BY_HAND: dict[str, tuple[tuple[int, ...], Callable[[], Any], int]] = {
    # A filter for each voxel that is written, and for each that is read.
    "volume": (VOLUME, lambda: layer("Conv3D", 5, 3, padding="same"), 6 * 8 * 8 * 5 * 27 * 4),
    "volume, valid": (VOLUME, lambda: layer("Conv3D", 5, (2, 3, 3)), 5 * 6 * 6 * 5 * 18 * 4),
    "volume, strides": (VOLUME, lambda: layer("Conv3D", 5, 2, strides=2), 3 * 4 * 4 * 5 * 8 * 4),
    "larger volume": (
        VOLUME,
        lambda: layer("Conv3DTranspose", 5, 2, strides=2),
        6 * 8 * 8 * 4 * 8 * 5,
    ),
    "larger image": (
        IMAGE,
        lambda: layer("Conv2DTranspose", 16, 3, strides=2, padding="same"),
        12 * 10 * 64 * 9 * 16,
    ),
    "larger image, valid": (
        IMAGE,
        lambda: layer("Conv2DTranspose", 16, 3, strides=1),
        12 * 10 * 64 * 9 * 16,
    ),
    "dilation": (
        IMAGE,
        lambda: layer("Conv2D", 16, 3, dilation_rate=2, padding="same"),
        12 * 10 * 16 * 9 * 64,
    ),
    "separable": (
        IMAGE,
        lambda: layer("SeparableConv2D", 16, 3, padding="same"),
        12 * 10 * 64 * (9 + 16),
    ),
    "sequence": ((STEPS, FEATURES), lambda: layer("Conv1D", 6, 3), 5 * 6 * 3 * FEATURES),
    "dense": ((FEATURES,), lambda: layer("Dense", 6), FEATURES * 6),
    "dense on each step": ((STEPS, FEATURES), lambda: layer("Dense", 6), STEPS * FEATURES * 6),
    "dense on each pixel": (IMAGE, lambda: layer("Dense", 6), 12 * 10 * 64 * 6),
    "no weights": (IMAGE, lambda: layer("MaxPool2D"), 0),
    "both directions": (
        (STEPS, FEATURES),
        lambda: layer("Bidirectional", layer("LSTM", UNITS)),
        2 * STEPS * 4 * UNITS * (FEATURES + UNITS),
    ),
}


for _name, _unroll, _states in product(GATES, (False, True), (False, True)):
    BY_HAND[f"{_name}, unrolled {_unroll}, all states {_states}"] = (
        (STEPS, FEATURES),
        partial(layer, _name, UNITS, unroll=_unroll, return_sequences=_states),
        STEPS * GATES[_name] * UNITS * (FEATURES + UNITS) - _unroll * GATES[_name] * UNITS * UNITS,
    )


LOOPS = ("both directions", *(f"{name}, unrolled False" for name in GATES))


@pytest.mark.parametrize("name", BY_HAND)
def test_layers_are_counted_as_by_hand(name: str) -> None:
    shape, make_layer, expected = BY_HAND[name]
    anatomy = read_anatomy(convert_by_tensorflow(build(shape, make_layer())))
    assert (anatomy.binary_macs, anatomy.float_macs) == (0, expected)


# TensorFlow converts a loop over steps for a fixed batch only.
@pytest.mark.parametrize("name", [name for name in BY_HAND if not name.startswith(LOOPS)])
def test_a_dynamic_batch_changes_no_count_or_leaves_it_unknown(name: str) -> None:
    shape, make_layer, expected = BY_HAND[name]
    anatomy = read_anatomy(convert_by_tensorflow(build(shape, make_layer()), batch=None))
    assert anatomy.float_macs in (expected, None)


@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
def test_a_product_of_matrices_counts_its_inner_size(transposed: str) -> None:
    from harness.models.keras import tf

    left = (1, 20, 64) if "a" not in transposed else (1, 64, 20)
    right = (1, 64, 30) if "b" not in transposed else (1, 30, 64)
    function = tf.function(
        lambda a, b: tf.matmul(a, b, transpose_a="a" in transposed, transpose_b="b" in transposed)
    ).get_concrete_function(tf.TensorSpec(left), tf.TensorSpec(right))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    assert read_anatomy(content).float_macs == 20 * 64 * 30


@pytest.mark.parametrize(("start", "expected"), [(9, 5 * 16 * 16), (None, None)])
def test_a_loop_counts_once_a_trip_if_its_trips_are_known(
    start: int | None, expected: int | None
) -> None:
    from harness.models.keras import tf

    weights = tf.constant(np.ones((16, 16), np.float32))

    def repeat(state: Any, limit: Any) -> Any:
        count = limit if start is None else tf.constant(start)
        return tf.while_loop(
            lambda left, _: left > 0,
            lambda left, state: (left - 2, tf.matmul(state, weights)),
            [count, state],
        )[1]

    function = tf.function(repeat).get_concrete_function(
        tf.TensorSpec((1, 16)), tf.TensorSpec((), tf.int32)
    )
    anatomy = read_anatomy(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    assert anatomy.operators["WHILE"] == 1
    assert anatomy.float_macs == expected
    assert anatomy.binary_macs == 0


def test_a_branch_that_may_not_run_leaves_the_count_unknown() -> None:
    from harness.models.keras import tf

    weights = tf.constant(np.ones((16, 16), np.float32))
    function = tf.function(
        lambda state, multiplies: tf.cond(
            multiplies, lambda: tf.matmul(state, weights), lambda: state
        )
    ).get_concrete_function(tf.TensorSpec((1, 16)), tf.TensorSpec((), tf.bool))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    assert read_anatomy(content).float_macs is None


def test_an_image_of_any_size_has_an_unknown_count() -> None:
    model = build((None, None, 3), layer("Conv2D", 8, 3))
    assert read_anatomy(convert_by_tensorflow(model)).float_macs is None
