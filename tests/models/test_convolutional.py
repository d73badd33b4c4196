"""What each convolutional architecture has of its own; `test_every_network.py` has what holds for all."""

import pytest

from harness.core.sweep import Precision
from harness.models import ARCHITECTURES, Task
from harness.models.binarynet import BinaryNet
from harness.models.birealnet import BiRealNet
from harness.models.quicknet import QuickNet
from tests.models.networks import layer_types, network, operators


def test_binarynet_can_be_the_papers_network_for_cifar_10() -> None:
    model = BinaryNet(filters=128, units=1024).training_model(
        Task((32, 32, 3), 10, precision=Precision.BINARY)
    )
    weights = [
        layer.get_weights()[0].shape
        for layer in model.layers
        if type(layer).__name__.startswith("Quant")
    ]
    assert weights == [
        (3, 3, 3, 128), (3, 3, 128, 128), (3, 3, 128, 256), (3, 3, 256, 256), (3, 3, 256, 512), (3, 3, 512, 512),
        (4 * 4 * 512, 1024), (1024, 1024), (1024, 10),
    ]  # fmt: skip


def test_binarynet_stays_bits_from_its_second_convolution_to_its_scores() -> None:
    assert operators("binarynet", Precision.BINARY) == {
        "CONV_2D": 1, "LceBMaxPool2d": 1, "LceBconv2d": 4, "LceQuantize": 1, "RESHAPE": 1, "SOFTMAX": 1
    }  # fmt: skip


def test_binarynets_dense_layers_are_deployed_as_convolutions() -> None:
    found = network("binarynet", Precision.BINARY)
    assert layer_types(found.trained).count("QuantDense") == 3
    assert "QuantDense" not in layer_types(found.deployed)


@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_normalisation_and_activations_cost_a_binary_artifact_no_operator(name: str) -> None:
    found = operators(name, Precision.BINARY)
    assert not {"MUL", "SUB", "RELU", "LceDequantize"} & set(found)
    assert found["LceQuantize"] <= found["LceBconv2d"]


@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_int8_is_left_only_at_both_ends(name: str) -> None:
    found = operators(name, Precision.INT8)
    assert found["QUANTIZE"] == found["DEQUANTIZE"] == 1


def test_birealnet_can_be_the_papers_eighteen_layers() -> None:
    kinds = layer_types(
        BiRealNet(stages=4, layers=4, filters=64).training_model(
            Task((32, 32, 3), 10, precision=Precision.BINARY)
        )
    )
    assert kinds.count("QuantConv2D") + 2 == 18, "but for the first and the last, which are float"
    assert kinds.count("Add") == kinds.count("QuantConv2D")
    assert kinds.count("AveragePooling2D") == 3


def test_quicknets_binary_convolutions_have_relu_fused_and_nothing_but_a_shortcut_around() -> None:
    found = operators("quicknet", Precision.BINARY)
    assert found["ADD"] == found["LceBconv2d"] == found["LceQuantize"]


def test_quicknet_can_be_the_papers_with_sixteen_binary_convolutions() -> None:
    kinds = layer_types(
        QuickNet(stages=4, blocks=4, filters=64).training_model(
            Task((32, 32, 3), 10, precision=Precision.BINARY)
        )
    )
    assert kinds.count("QuantConv2D") == 16


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3)])
@pytest.mark.parametrize("name", ["binarynet", "birealnet", "cnn", "quicknet"])
def test_images_of_any_size_will_do(name: str, shape: tuple[int, int, int]) -> None:
    model = ARCHITECTURES[name](**{"filters": 8}).training_model(
        Task(shape, 7, precision=Precision.BINARY)
    )
    assert model.output_shape == (None, 7)
