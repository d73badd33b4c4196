"""Properties of the transformer; `test_every_network.py` tests what all share."""

from collections import deque

import numpy as np
import pytest

from harness import data
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.models import make_task
from harness.models.transformer import Transformer, _attend_one_head
from harness.training.fit import Fit, compute_scores
from tests.models.networks import operators, some_digits, task


@pytest.mark.parametrize("patch", [2, 3, 8, 20])
def test_patches_of_any_size_are_deployed_as_they_were_trained(patch: int) -> None:
    transformer = Transformer(blocks=1, heads=2, head_units=8, patch=patch)
    trained, images = (
        transformer.build_training_model(task(Precision.FLOAT32)),
        some_digits().test.images,
    )
    deployed = transformer.build_deployed_model(task(Precision.FLOAT32), trained)
    np.testing.assert_allclose(
        compute_scores(deployed, images), compute_scores(trained, images), atol=1e-4
    )


def test_attention_weights_values_by_the_likeness_of_key_and_query() -> None:
    keys = np.array([[[[10.0, 0.0], [0.0, 10.0]]]], np.float32)
    values = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    queries = np.array([[[[10.0, 0.0], [1.0, 1.0]]]], np.float32)
    np.testing.assert_allclose(
        _attend_one_head(queries, keys, value=values), [[[[1, 2], [2, 3]]]], atol=1e-5
    )


def test_each_head_attends_to_its_part_with_scaled_likeness() -> None:
    transformer = Transformer(heads=2, head_units=4)
    projections = np.random.default_rng(0).normal(size=(1, 1, 5, 24)).astype(np.float32)
    # Queries, keys and values of two heads.
    query, key, value = projections.reshape(5, 3, 2, 4).transpose(1, 2, 0, 3).astype(np.float64)
    likeness = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(4))
    expected = likeness / likeness.sum(axis=-1, keepdims=True) @ value / 4**0.25
    attention = np.asarray(transformer._attend(projections)).reshape(5, 2, 4).transpose(1, 0, 2)
    np.testing.assert_allclose(attention, expected, atol=1e-5)


def test_position_embeddings_are_as_large_as_patch_embeddings() -> None:
    model = Transformer(patch=2).build_training_model(task(Precision.BINARY))
    positions = next(weight for weight in model.weights if "places" in weight.name).numpy()
    assert positions.shape == (1, 16, 128)
    assert 0.7 < positions.std() < 1.1


def test_a_binary_artifact_has_no_operator_for_scale_or_normalisation() -> None:
    assert operators("transformer", Precision.BINARY) == {
        "ADD": 3, "CONCATENATION": 1, "CONV_2D": 1, "FULLY_CONNECTED": 2 * 2 + 1,
        "LceBconv2d": 4, "LceQuantize": 3,
        "MEAN": 1, "RESHAPE": 5, "SOFTMAX": 3, "SPLIT": 1, "TRANSPOSE": 2,
    }  # fmt: skip


@pytest.mark.full
def test_a_binary_transformer_learns_the_digits() -> None:
    from harness.models.keras import keras

    digits, recipe = data.load("digits"), Recipe(epochs=10, batch_size=50, learning_rate=0.003)
    parameters = {"heads": 4, "head_units": 16, "patch": 2}
    transformer = Transformer(**parameters)
    keras.utils.set_random_seed(0)
    model = transformer.build_training_model(
        make_task(digits.shape, digits.classes, precision=Precision.BINARY, recipe=recipe)
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
