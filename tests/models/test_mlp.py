"""What is the multi-layer perceptron's own; `test_every_network.py` has what holds for all."""

from harness.core.sweep import Precision
from harness.models import Task
from harness.models.mlp import Mlp
from tests.models.networks import layer_types, network, operators


def test_it_is_trained_as_dense_layers_and_deployed_as_convolutions() -> None:
    found = network("mlp", Precision.BINARY)
    assert {kind for kind in layer_types(found.trained) if kind.startswith("Quant")} == {
        "QuantDense"
    }
    assert {kind for kind in layer_types(found.deployed) if kind.startswith("Quant")} == {
        "QuantConv2D"
    }


def test_signs_are_taken_once_and_stay_bits_to_the_end() -> None:
    assert operators("mlp", Precision.BINARY) == {
        "CONV_2D": 1, "LceBconv2d": 2, "LceQuantize": 1, "RESHAPE": 2, "SOFTMAX": 1
    }  # fmt: skip


def test_layers_and_units_are_the_hidden_ones() -> None:
    model = Mlp(layers=3, units=8).training_model(Task((8, 8, 1), 10, precision=Precision.BINARY))
    shapes = [
        layer.output_shape[-1] for layer in model.layers if type(layer).__name__ == "QuantDense"
    ]
    assert shapes == [8, 8, 8, 10]


def test_the_first_layer_takes_real_pixels_and_the_others_signs() -> None:
    model = Mlp(layers=3, units=8).training_model(Task((8, 8, 1), 10, precision=Precision.BINARY))
    dense = [layer for layer in model.layers if type(layer).__name__ == "QuantDense"]
    assert [layer.input_quantizer is None for layer in dense] == [True, False, False, False]
    assert {layer.kernel_quantizer.clip_value for layer in dense} == {1.0}, (
        "latent weights saturate at |x| > 1"
    )
