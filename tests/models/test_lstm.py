"""Properties of the recurrent network; `test_every_network.py` tests what all share."""

from collections import Counter, deque
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import data
from harness.conversion.anatomy import read_graphs
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.models import Task, make_task
from harness.models.lstm import Lstm
from harness.training.fit import Fit, compute_scores
from tests.models.networks import artifact, operators, some_digits


@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BINARY])
def test_the_unrolled_network_is_the_function_of_the_loop(rows: int, precision: Precision) -> None:
    lstm, small = Lstm(layers=2, units=8), Task((rows, 8, 1), 10, precision=precision)
    looped = lstm.build_training_model(small)
    images = some_digits().test.images[:, :rows]
    np.testing.assert_allclose(
        compute_scores(lstm.build_deployed_model(small, looped), images),
        compute_scores(looped, images),
        atol=1e-5,
    )


def test_states_follow_the_equations() -> None:
    from harness.models.keras import Model

    model = Lstm(units=4).build_training_model(Task((8, 8, 1), 10, precision=Precision.FLOAT32))
    images = some_digits().test.images[:5]
    layer = next(layer for layer in model.layers if layer.name.startswith("recurrence"))
    inputs, states = Model(model.input, [layer.input, layer.output]).predict(images, verbose=0)
    np.testing.assert_allclose(states, _compute_states(inputs, *layer.get_weights()), atol=1e-6)


def _compute_states(inputs: NDArray[Any], gain: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """Compute the states of Hochreiter and Schmidhuber, with Gers et al.'s forget gate (2000)."""
    state = cell = np.zeros((len(inputs), 1, len(kernel)))
    states = []
    for row in range(inputs.shape[1]):
        gates = inputs[:, row] + state @ kernel * gain
        input_gate, forget_gate, output_gate, candidate = np.split(gates, 4, axis=-1)
        cell = _sigmoid(forget_gate) * cell + _sigmoid(input_gate) * np.tanh(candidate)
        state = _sigmoid(output_gate) * np.tanh(cell)
        states.append(state)
    return np.stack(states, axis=1)


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-values)))


@pytest.mark.full
def test_all_rows_share_one_set_of_packed_weights_in_the_file() -> None:
    (graph,) = read_graphs(artifact("lstm", Precision.BINARY))
    uses = Counter(
        operator.inputs[1] for operator in graph.operators if operator.kind == "LceBconv2d"
    )
    assert sorted(uses.values()) == [1, 7, 7], (
        "the second layer's inputs from all rows are one product"
    )


def test_normalisation_costs_a_binary_artifact_no_operator() -> None:
    operators_per_layer = {
        "ADD": 7 * 2,
        "LOGISTIC": 2 + 7 * 3,
        "MUL": 2 + 7 * 3,
        "SPLIT": 1 + 8,
        "TANH": 8 * 2,
        "CONCATENATION": 1,
    }
    assert operators("lstm", Precision.BINARY) == {
        **{kind: 2 * count for kind, count in operators_per_layer.items()},
        "LceBconv2d": 7 + 1 + 7, "LceQuantize": 7 + 1 + 7,
        "CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "RESHAPE": 1, "SOFTMAX": 1,
    }  # fmt: skip


@pytest.mark.full
def test_a_binary_lstm_learns_the_digits() -> None:
    from harness.models.keras import keras

    digits, recipe = data.load("digits"), Recipe(epochs=15, batch_size=50, learning_rate=0.003)
    keras.utils.set_random_seed(0)
    model = Lstm(units=64).build_training_model(
        make_task(digits.shape, digits.classes, precision=Precision.BINARY, recipe=recipe)
    )
    fit = Fit(
        Trial(
            "lstm",
            {"units": 64},
            chosen={},
            precision=Precision.BINARY,
            dataset="digits",
            recipe=recipe,
            seed=0,
        ),
        model,
        dataset=digits,
    )
    deque(fit.run_epochs(), maxlen=0)
    assert (fit.curve[-1].validation_accuracy or 0) > 0.85
