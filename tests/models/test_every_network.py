"""Properties of every architecture, including new ones: `networks.SMALL` must list each."""

from collections import Counter

import numpy as np
import pytest
from tflite.Model import Model
from tflite.TensorType import TensorType

from harness.conversion.anatomy import read_inputs, read_outputs
from harness.conversion.evaluate import MIN_AGREEMENT, evaluate
from harness.core.sweep import Precision
from harness.models import ARCHITECTURES
from harness.training.fit import compute_scores
from tests.models.networks import SMALL, artifact, layer_types, network, operators, some_digits

PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "LceBconv2d"}
every_network = pytest.mark.parametrize("name", ARCHITECTURES)
every_precision = pytest.mark.parametrize("precision", Precision)


@pytest.mark.full
@every_network
@every_precision
def test_an_artifact_agrees_with_the_trained_network(name: str, precision: Precision) -> None:
    test = some_digits().test
    expected = compute_scores(network(name, precision).trained, test.images)
    file = artifact(name, precision)
    evaluation = evaluate(
        file,
        test.images,
        labels=test.labels,
        expected=expected,
        threads=1,
        min_agreement=MIN_AGREEMENT[precision],
    )
    assert evaluation.accuracy > 0.3
    np.testing.assert_allclose(evaluation.outputs.sum(axis=1), 1, atol=0.02)
    assert [
        (tensor.shape, tensor.dtype) for tensor in (*read_inputs(file), *read_outputs(file))
    ] == [
        ((1, 8, 8, 1), "float32"),
        ((1, 10), "float32"),
    ]


@every_network
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BINARY])
def test_the_deployed_network_is_the_function_that_was_trained(
    name: str, precision: Precision
) -> None:
    images = some_digits().test.images
    models = network(name, precision)
    expected = compute_scores(models.trained, images)
    probabilities = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(compute_scores(models.deployed, images), probabilities, atol=1e-4)


@every_network
def test_twins_differ_in_quantizers_and_activations_only(name: str) -> None:
    binary, twin = (
        network(name, precision).trained for precision in (Precision.BINARY, Precision.FLOAT32)
    )
    assert [kind.removeprefix("Quant") for kind in layer_types(binary)] == layer_types(twin)
    assert [weight.shape for weight in binary.get_weights()] == [
        weight.shape for weight in twin.get_weights()
    ]
    assert any(kind.startswith("Quant") for kind in layer_types(binary))


@every_network
def test_a_binary_artifact_has_only_the_intended_float_operators(name: str) -> None:
    counts = operators(name, Precision.BINARY)
    products = {kind: count for kind, count in counts.items() if kind in PRODUCTS}
    assert products == SMALL[name].products
    assert counts["LceBconv2d"] > 0
    assert "LceBconv2d" not in operators(name, Precision.FLOAT32)


@every_network
def test_an_int8_artifact_has_mostly_int8_tensors(name: str) -> None:
    graph = Model.GetRootAsModel(artifact(name, Precision.INT8), 0).Subgraphs(0)
    types = Counter(graph.Tensors(index).Type() for index in range(graph.TensorsLength()))
    assert types[TensorType.INT8] > 2 * types[TensorType.FLOAT32]
    assert len(artifact(name, Precision.INT8)) < len(artifact(name, Precision.FLOAT32))
