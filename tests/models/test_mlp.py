"""What is trained as dense layers and what is deployed as 1x1 convolutions are one function."""

import numpy as np
import pytest

from harness import data
from harness.core.sweep import Precision, Recipe
from harness.models import Task
from harness.models.mlp import Mlp
from harness.training.fit import fit


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("units", [24, 128])
def test_deployed_and_trained_networks_agree_on_every_image(precision: Precision, units: int) -> None:
    digits = data.load("digits")
    architecture = Mlp(layers=2, units=units)
    task = Task(digits.shape, digits.classes, precision, "glorot_uniform")
    trained = architecture.training_model(task)
    fit(trained, digits, Recipe(epochs=2, learning_rate=0.003), 0, lambda _: None)
    deployed = architecture.deployed_model(task, trained)

    expected = trained.predict(digits.test.images, verbose=0)
    found = deployed.predict(digits.test.images, verbose=0)

    assert np.abs(expected - found).max() < 1e-5
    assert (expected.argmax(axis=1) == found.argmax(axis=1)).all()
    assert {layer.__class__.__name__ for layer in deployed.layers} & {"QuantConv2D", "Conv2D"}
    assert not {layer.__class__.__name__ for layer in deployed.layers} & {"QuantDense", "Dense"}


def test_twins_differ_in_quantizers_and_relu_only() -> None:
    layers = {}
    for precision in Precision:
        task = Task((8, 8, 1), 10, precision, "glorot_uniform")
        layers[precision] = [layer.__class__.__name__ for layer in Mlp(layers=3, units=8).training_model(task).layers]
    binary = [name.removeprefix("Quant") for name in layers[Precision.BINARY]]
    assert binary == [name for name in layers[Precision.FLOAT32] if name != "ReLU"]
    assert layers[Precision.FLOAT32].count("ReLU") == 3
    assert binary.count("BatchNormalization") == 4


def test_the_first_layer_takes_real_pixels_and_the_others_signs() -> None:
    task = Task((8, 8, 1), 10, Precision.BINARY, "glorot_uniform")
    dense = [
        layer
        for layer in Mlp(layers=3, units=8).training_model(task).layers
        if layer.__class__.__name__ == "QuantDense"
    ]
    assert [layer.input_quantizer is None for layer in dense] == [True, False, False, False]
    assert all(layer.kernel_quantizer is not None for layer in dense)
    clip = {layer.kernel_quantizer.clip_value for layer in dense}
    assert clip == {1.0}, "the straight-through estimator saturates at |x| > 1"
