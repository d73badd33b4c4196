"""What the transformer has of its own; `test_every_network.py` has what holds for all."""

from collections import deque

import numpy as np
import pytest

from harness import data
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.models import task_of
from harness.models.transformer import Transformer, _attention
from harness.training.fit import Fit, compute_scores
from tests.models.networks import operators, some_digits, task


@pytest.mark.parametrize("patch", [2, 3, 8, 20])
def test_patches_of_any_size_are_deployed_as_they_were_trained(patch: int) -> None:
    transformer = Transformer(blocks=1, heads=2, head_units=8, patch=patch)
    trained, images = transformer.training_model(task(Precision.FLOAT32)), some_digits().test.images
    deployed = transformer.deployed_model(task(Precision.FLOAT32), trained)
    np.testing.assert_allclose(
        compute_scores(deployed, images), compute_scores(trained, images), atol=1e-4
    )


def test_attention_is_the_mean_of_values_by_how_like_their_keys_are_to_the_query() -> None:
    keys = np.array([[[[10.0, 0.0], [0.0, 10.0]]]], np.float32)
    values = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    queries = np.array([[[[10.0, 0.0], [1.0, 1.0]]]], np.float32)
    np.testing.assert_allclose(
        _attention(queries, keys, value=values), [[[[1, 2], [2, 3]]]], atol=1e-5
    )


def test_heads_attend_to_their_own_part_and_likeness_is_scaled_by_the_root_of_its_size() -> None:
    transformer = Transformer(heads=2, head_units=4)
    projected = np.random.default_rng(0).normal(size=(1, 1, 5, 24)).astype(np.float32)
    # Queries, keys and values, of two heads each.
    query, key, value = projected.reshape(5, 3, 2, 4).transpose(1, 2, 0, 3).astype(np.float64)
    likeness = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(4))
    expected = likeness / likeness.sum(axis=-1, keepdims=True) @ value / 4**0.25
    found = np.asarray(transformer._attended(projected)).reshape(5, 2, 4).transpose(1, 0, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_patchs_place_is_as_large_as_what_is_embedded() -> None:
    model = Transformer(patch=2).training_model(task(Precision.BINARY))
    places = next(weight for weight in model.weights if "places" in weight.name).numpy()
    assert places.shape == (1, 16, 128)
    assert 0.7 < places.std() < 1.1


def test_a_binary_artifact_has_no_operator_for_scale_or_normalisation() -> None:
    assert operators("transformer", Precision.BINARY) == {
        "ADD": 3, "CONCATENATION": 1, "CONV_2D": 1, "FULLY_CONNECTED": 2 * 2 + 1, "LceBconv2d": 4, "LceQuantize": 3,
        "MEAN": 1, "RESHAPE": 5, "SOFTMAX": 3, "SPLIT": 1, "TRANSPOSE": 2,
    }  # fmt: skip


def test_signs_before_every_projection_learn_the_digits() -> None:
    from harness.models.keras import keras

    digits, recipe = data.load("digits"), Recipe(epochs=10, batch_size=50, learning_rate=0.003)
    transformer, parameters = (
        Transformer(heads=4, head_units=16, patch=2),
        {"heads": 4, "head_units": 16, "patch": 2},
    )
    keras.utils.set_random_seed(0)
    model = transformer.training_model(
        task_of(digits.shape, digits.classes, precision=Precision.BINARY, recipe=recipe)
    )
    fit = Fit(
        Trial(
            "transformer",
            parameters,
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
