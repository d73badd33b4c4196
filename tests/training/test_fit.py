import io
from collections import deque
from itertools import islice
from typing import Any

import numpy as np
import pytest

from harness import data
from harness.core.errors import Reason, TrialFailed
from harness.core.recipe import EarlyStopping, Recipe
from harness.core.sweep import Epoch, Precision, Trial
from harness.training.fit import Fit
from harness.training.snapshot import pack, unpack
from harness.training.trial import build_model


def new_fit(recipe: Recipe, seed: int = 0) -> Fit:
    trial = Trial(
        "mlp",
        {"layers": 1, "units": 16},
        chosen={},
        precision=Precision.BINARY,
        dataset="digits",
        recipe=recipe,
        seed=seed,
    )
    digits = data.load("digits")
    return Fit(trial, build_model(trial, digits), dataset=digits)


def run_fit(recipe: Recipe, seed: int = 0) -> tuple[Epoch, ...]:
    return tuple(new_fit(recipe, seed).run_epochs())


def test_it_learns_and_yields_each_epoch() -> None:
    curve = run_fit(Recipe(epochs=5, learning_rate=0.01))
    assert [epoch.number for epoch in curve] == [1, 2, 3, 4, 5]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].validation_accuracy is not None
    assert curve[-1].validation_accuracy > 0.6


def test_the_curve_depends_on_the_seed() -> None:
    recipe = Recipe(epochs=2, learning_rate=0.01)

    def losses(seed: int) -> list[float]:
        return [epoch.loss for epoch in run_fit(recipe, seed)]

    first_losses = losses(3)
    assert losses(3) == first_losses
    assert losses(4) != first_losses


@pytest.mark.full
def test_without_validation_every_image_is_trained_on() -> None:
    curve = run_fit(Recipe(epochs=1, validation=0.0))
    assert curve[0].validation_loss is None


@pytest.mark.full
def test_a_loss_that_is_not_a_number_fails_the_trial() -> None:
    with pytest.raises(TrialFailed) as failed:
        run_fit(Recipe(epochs=3, optimizer="sgd", learning_rate=1e30))
    assert failed.value.reason is Reason.DIVERGED


@pytest.mark.full
def test_a_batch_may_hold_all_training_images_but_not_more() -> None:
    assert len(run_fit(Recipe(epochs=1, batch_size=1293))) == 1
    message = r"^train.batch_size 1,294 exceeds the 1,293 training images; lower it\.$"
    with pytest.raises(TrialFailed, match=message) as failed:
        run_fit(Recipe(epochs=1, batch_size=1294))
    assert failed.value.reason is Reason.NO_DATA


def curve_of(fit: Fit) -> list[tuple[float | None, ...]]:
    return [
        (epoch.loss, epoch.accuracy, epoch.validation_loss, epoch.validation_accuracy)
        for epoch in fit.curve
    ]


def assert_same_weights(weights: list[Any], expected: list[Any]) -> None:
    for weight, expected_weight in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, expected_weight)


@pytest.mark.full
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=5, learning_rate=0.01),
        Recipe(epochs=5, optimizer="sgd", momentum=0.9, learning_rate=0.1, loss="squared_hinge"),
        Recipe(epochs=5, learning_rate=0.05, early_stopping=EarlyStopping(patience=3)),
    ],
    ids=["adam", "sgd", "early stopping"],
)
@pytest.mark.parametrize("interrupted_after", [1, 4])
def test_a_fit_resumed_from_a_snapshot_is_bit_identical_to_an_uninterrupted_one(
    recipe: Recipe, interrupted_after: int
) -> None:
    uninterrupted = new_fit(recipe, seed=3)
    deque(uninterrupted.run_epochs(), maxlen=0)
    expected = uninterrupted.model.get_weights()

    interrupted = new_fit(recipe, seed=3)
    deque(islice(interrupted.run_epochs(), interrupted_after), maxlen=0)
    content = pack(interrupted.snapshot())
    resumed = new_fit(recipe, seed=3)
    resumed.restore(unpack(content))
    deque(resumed.run_epochs(), maxlen=0)

    assert curve_of(resumed) == curve_of(uninterrupted)
    assert_same_weights(resumed.model.get_weights(), expected)


def test_a_snapshot_of_another_network_is_refused_and_changes_nothing() -> None:
    other = new_fit(Recipe(epochs=1, optimizer="sgd")).snapshot()
    fit = new_fit(Recipe(epochs=1))
    before = fit.model.get_weights()
    with pytest.raises(ValueError, match="another training"):
        fit.restore(other)
    assert_same_weights(fit.model.get_weights(), before)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_an_incomplete_snapshot_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a complete snapshot"):
        unpack(content)
    complete = pack(new_fit(Recipe(epochs=1)).snapshot())
    with pytest.raises(ValueError, match="not a complete snapshot"):
        unpack(complete[: len(complete) // 2])


def test_a_snapshot_keeps_the_archive_member_that_older_checkpoints_have() -> None:
    with np.load(io.BytesIO(pack(new_fit(Recipe(epochs=1)).snapshot()))) as archive:
        assert "told" in archive.files
        assert {"variable_000000"} <= set(archive.files)
