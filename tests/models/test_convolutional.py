"""Properties of each convolutional architecture; `test_every_network.py` tests what all share."""

import pytest

from harness.core.sweep import Precision
from harness.models import ARCHITECTURES, Task
from harness.models.binarynet import BinaryNet
from harness.models.birealnet import BiRealNet
from harness.models.quicknet import QuickNet
from tests.models.networks import layer_types, network, operators


def test_binarynet_can_build_the_papers_network_for_cifar_10() -> None:
    model = BinaryNet(filters=128, units=1024).build_training_model(
        Task((32, 32, 3), 10, precision=Precision.BINARY)
    )
    weights = [
        layer.get_weights()[0].shape
        for layer in model.layers
        if type(layer).__name__.startswith("Quant")
    ]
    assert weights == [
        (3, 3, 3, 128), (3, 3, 128, 128), (3, 3, 128, 256),
        (3, 3, 256, 256), (3, 3, 256, 512), (3, 3, 512, 512),
        (4 * 4 * 512, 1024), (1024, 1024), (1024, 10),
    ]  # fmt: skip


def test_binarynet_stays_bits_from_its_second_convolution_to_its_scores() -> None:
    assert operators("binarynet", Precision.BINARY) == {
        "CONV_2D": 1, "LceBMaxPool2d": 1, "LceBconv2d": 4,
        "LceQuantize": 1, "RESHAPE": 1, "SOFTMAX": 1,
    }  # fmt: skip


def test_binarynets_dense_layers_are_deployed_as_convolutions() -> None:
    models = network("binarynet", Precision.BINARY)
    assert layer_types(models.trained).count("QuantDense") == 3
    assert "QuantDense" not in layer_types(models.deployed)


@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_normalisation_and_activations_cost_a_binary_artifact_no_operator(name: str) -> None:
    counts = operators(name, Precision.BINARY)
    assert not {"MUL", "SUB", "RELU", "LceDequantize"} & set(counts)
    assert counts["LceQuantize"] <= counts["LceBconv2d"]


@pytest.mark.full
@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_int8_artifacts_convert_to_float_only_at_both_ends(name: str) -> None:
    counts = operators(name, Precision.INT8)
    assert counts["QUANTIZE"] == counts["DEQUANTIZE"] == 1


def test_birealnet_can_build_the_papers_eighteen_layers() -> None:
    kinds = layer_types(
        BiRealNet(stages=4, layers=4, filters=64).build_training_model(
            Task((32, 32, 3), 10, precision=Precision.BINARY)
        )
    )
    assert kinds.count("QuantConv2D") + 2 == 18, "the first and the last layer are float"
    assert kinds.count("Add") == kinds.count("QuantConv2D")
    assert kinds.count("AveragePooling2D") == 3


def test_quicknets_binary_convolutions_have_fused_relu_and_only_a_shortcut() -> None:
    counts = operators("quicknet", Precision.BINARY)
    assert counts["ADD"] == counts["LceBconv2d"] == counts["LceQuantize"]


def test_quicknet_can_build_the_papers_sixteen_binary_convolutions() -> None:
    kinds = layer_types(
        QuickNet(stages=4, blocks=4, filters=64).build_training_model(
            Task((32, 32, 3), 10, precision=Precision.BINARY)
        )
    )
    assert kinds.count("QuantConv2D") == 16


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3)])
@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_networks_take_images_of_any_size(name: str, shape: tuple[int, int, int]) -> None:
    model = ARCHITECTURES[name](**{"filters": 8}).build_training_model(
        Task(shape, 7, precision=Precision.BINARY)
    )
    assert model.output_shape == (None, 7)
