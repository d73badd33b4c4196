"""Properties of each convolutional architecture; `test_every_network.py` tests what all share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.config.sweep_file import read_sweep
from harness.core.sweep import Precision
from harness.models import ARCHITECTURES, Architecture, Task, build_architecture
from harness.models.binarynet import BinaryNet
from harness.models.birealnet import BiRealNet
from harness.models.quicknet import QuickNet
from harness.sweep.trials import build_trials
from harness.training.recipe import plan_learning_rates
from tests.models.layer_tables import list_layers, read_table
from tests.models.networks import layer_types, network, operators


def build_for_imagenet(architecture: Architecture) -> Any:
    return architecture.build_training_model(
        Task((224, 224, 3), 1000, precision=Precision.BINARY, kernel_quantizer="ste_sign")
    )


def test_the_job_of_binarynet_trains_the_papers_network(repository: Path) -> None:
    """Its layers are those of the authors' code: pools come before normalisation."""
    trial = build_trials(read_sweep(repository / "jobs" / "cifar10_binarynet.yaml")[0])[0]
    model = build_architecture(trial.architecture, trial.parameters).build_training_model(
        Task((32, 32, 3), 10, precision=Precision.BINARY)
    )
    kinds = [row[0] for row in list_layers(model)]
    block = ["Conv2D", "BatchNormalization", "Conv2D", "MaxPooling2D", "BatchNormalization"]
    assert kinds == 3 * block + 3 * ["Dense", "BatchNormalization"]
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
    assert {layer.epsilon for layer in model.layers if hasattr(layer, "epsilon")} == {1e-4}
    rates = plan_learning_rates(trial.recipe, steps_per_epoch=2)
    assert rates(1)[0] == rates(1)[1] == pytest.approx(1e-3)
    assert rates(2)[0] == pytest.approx(1e-3 * 3e-4 ** (1 / 500))
    assert rates(500)[1] * 3e-4 ** (1 / 500) == pytest.approx(3e-7, rel=1e-3)


def test_a_binarynet_that_pools_sums_is_deployed_as_it_was_trained() -> None:
    architecture = BinaryNet(blocks=1, filters=32, units=32, pool_before_normalisation=True)
    task = Task((8, 8, 1), 10, precision=Precision.BINARY)
    trained = architecture.build_training_model(task)
    deployed = architecture.build_deployed_model(task, trained)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(trained(images), deployed(images), atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("birealnet", BiRealNet(stages=4, layers=4, filters=64, layout="imagenet")),
        ("quicknet", QuickNet(stages=4, blocks=4, filters=64, layout="imagenet")),
    ],
)
def test_the_papers_network_has_the_layers_of_larq_zoos(
    name: str, architecture: Architecture
) -> None:
    model = build_for_imagenet(architecture)
    assert list_layers(model) == read_table(name)
    # Larq Zoo's documentation has these figures.
    assert model.count_params() == {"birealnet": 11_699_112, "quicknet": 13_243_720}[name]


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
