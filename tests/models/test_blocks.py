"""The building blocks of networks, each by itself."""

import numpy as np
import pytest

from harness.core.recipe import Initializer
from harness.core.sweep import Precision
from harness.models import Task
from harness.models.blocks import (
    as_float,
    blur,
    convolution,
    copy_weights,
    dense,
    depthwise,
    make_initializer,
    window,
)

BINARY = Task((4, 4, 32), 10, precision=Precision.BINARY)
FLOAT = Task((4, 4, 32), 10, precision=Precision.FLOAT32)
MAPS = np.random.default_rng(0).normal(size=(5, 4, 4, 32)).astype(np.float32)


@pytest.mark.parametrize("task", [BINARY, FLOAT], ids=["binary", "float"])
def test_a_window_over_the_whole_map_equals_a_dense_layer_over_its_values(task: Task) -> None:
    from harness.models.keras import Model, layers

    image = layers.Input((4, 4, 32))
    flat = Model(image, dense(task, 24)(layers.Reshape((1, 1, 4 * 4 * 32))(image)))
    covering = copy_weights(flat, Model(image, window(task, 24, size=(4, 4))(image)))
    np.testing.assert_allclose(flat(MAPS), covering(MAPS), rtol=1e-4, atol=1e-4)


def test_a_binary_convolution_pads_signs_with_ones_and_pixels_with_zeros() -> None:
    signs, pixels = convolution(BINARY, 1, size=3), convolution(BINARY, 1, size=3, real_input=True)
    for layer in (signs, pixels):
        layer.build((None, 4, 4, 32))
        layer.set_weights([np.ones((3, 3, 32, 1), np.float32)])
    ones = np.ones((1, 4, 4, 32), np.float32)
    corner, middle = 4 * 32, 9 * 32
    assert (signs(ones)[0, 0, 0, 0], pixels(ones)[0, 0, 0, 0]) == (middle, corner)
    assert signs(ones)[0, 1, 1, 0] == pixels(ones)[0, 1, 1, 0] == middle


def test_a_layer_for_the_float_task_is_float_in_a_binary_network() -> None:
    tasks = (BINARY, as_float(BINARY), FLOAT)
    convolutions = [type(convolution(task, 8, size=3)).__name__ for task in tasks]
    assert convolutions == ["QuantConv2D", "Conv2D", "Conv2D"]
    assert [type(dense(task, 8)).__name__ for task in tasks] == ["QuantDense", "Dense", "Dense"]
    assert type(depthwise(BINARY, 3)).__name__ == "DepthwiseConv2D"


def test_a_blur_keeps_constant_maps_and_is_not_trained() -> None:
    layer = blur(2)
    blurred = layer(np.full((1, 8, 8, 2), 3.0, np.float32))
    assert blurred.shape == (1, 4, 4, 2)
    np.testing.assert_allclose(blurred[0, :3, :3], 3.0)
    assert layer.trainable_weights == []


def test_the_scale_of_an_initializer_scales_its_values() -> None:
    plain, doubled = (make_initializer(Initializer("he_uniform", scale)) for scale in (1.0, 2.0))
    maxima = [float(np.abs(draw((1000, 10))).max()) for draw in (plain, doubled)]
    assert maxima[1] == pytest.approx(2 * maxima[0], rel=0.01)
