"""Properties of the multi-layer perceptron; `test_every_network.py` tests what all share."""

from harness.core.sweep import Precision
from harness.models import Task
from harness.models.mlp import Mlp
from tests.models.networks import layer_types, network, operators


def test_it_is_trained_as_dense_layers_and_deployed_as_convolutions() -> None:
    models = network("mlp", Precision.BINARY)
    for model, binary_type in ((models.trained, "QuantDense"), (models.deployed, "QuantConv2D")):
        quantised = {kind for kind in layer_types(model) if kind.startswith("Quant")}
        assert quantised == {binary_type}


def test_values_are_binarized_once_and_stay_bits_to_the_end() -> None:
    assert operators("mlp", Precision.BINARY) == {
        "CONV_2D": 1, "LceBconv2d": 2, "LceQuantize": 1, "RESHAPE": 2, "SOFTMAX": 1
    }  # fmt: skip


def test_layers_and_units_count_hidden_layers() -> None:
    model = Mlp(layers=3, units=8).build_training_model(
        Task((8, 8, 1), 10, precision=Precision.BINARY)
    )
    shapes = [
        layer.output_shape[-1] for layer in model.layers if type(layer).__name__ == "QuantDense"
    ]
    assert shapes == [8, 8, 8, 10]


def test_the_first_layer_takes_real_pixels_and_the_others_signs() -> None:
    model = Mlp(layers=3, units=8).build_training_model(
        Task((8, 8, 1), 10, precision=Precision.BINARY)
    )
    dense = [layer for layer in model.layers if type(layer).__name__ == "QuantDense"]
    assert [layer.input_quantizer is None for layer in dense] == [True, False, False, False]
    assert {layer.kernel_quantizer.clip_value for layer in dense} == {1.0}, (
        "latent weights saturate at |x| > 1"
    )
