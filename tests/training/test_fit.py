from collections import deque
from itertools import islice

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


def fitted(recipe: Recipe, seed: int = 0) -> tuple[Epoch, ...]:
    return tuple(new_fit(recipe, seed).run_epochs())


def test_it_learns_and_tells_each_epoch() -> None:
    curve = fitted(Recipe(epochs=5, learning_rate=0.01))
    assert [epoch.number for epoch in curve] == [1, 2, 3, 4, 5]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].validation_accuracy is not None
    assert curve[-1].validation_accuracy > 0.6


def test_the_same_seed_gives_the_same_curve_and_another_another() -> None:
    recipe = Recipe(epochs=2, learning_rate=0.01)
    losses = [[epoch.loss for epoch in fitted(recipe, seed)] for seed in (3, 3, 4)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_without_validation_every_image_is_trained_on() -> None:
    curve = fitted(Recipe(epochs=1, validation=0.0))
    assert curve[0].validation_loss is None


def test_a_loss_that_is_no_number_ends_the_trial() -> None:
    with pytest.raises(TrialFailed) as failed:
        fitted(Recipe(epochs=3, optimizer="sgd", learning_rate=1e30))
    assert failed.value.reason is Reason.DIVERGED


def test_a_batch_may_be_all_images_that_it_trains_on_and_no_more() -> None:
    assert len(fitted(Recipe(epochs=1, batch_size=1293))) == 1
    said = r"^train.batch_size 1,294 is more than the 1,293 images that it trains on; lower it\.$"
    with pytest.raises(TrialFailed, match=said) as failed:
        fitted(Recipe(epochs=1, batch_size=1294))
    assert failed.value.reason is Reason.NO_DATA


def told(fit: Fit) -> list[tuple[float | None, ...]]:
    return [
        (epoch.loss, epoch.accuracy, epoch.validation_loss, epoch.validation_accuracy)
        for epoch in fit.curve
    ]


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
def test_one_that_goes_on_from_a_snapshot_is_bit_for_bit_the_uninterrupted_one(
    recipe: Recipe, interrupted_after: int
) -> None:
    whole = new_fit(recipe, seed=3)
    deque(whole.run_epochs(), maxlen=0)
    weights = whole.model.get_weights()

    first = new_fit(recipe, seed=3)
    deque(islice(first.run_epochs(), interrupted_after), maxlen=0)
    content = pack(first.snapshot())
    second = new_fit(recipe, seed=3)
    second.restore(unpack(content))
    deque(second.run_epochs(), maxlen=0)

    assert told(second) == told(whole)
    for found, expected in zip(second.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_snapshot_of_another_network_is_refused_and_changes_nothing() -> None:
    other = new_fit(Recipe(epochs=1, optimizer="sgd")).snapshot()
    fit = new_fit(Recipe(epochs=1))
    before = fit.model.get_weights()
    with pytest.raises(ValueError, match="another training"):
        fit.restore(other)
    for found, expected in zip(fit.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_a_snapshot_that_is_not_whole_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no whole snapshot"):
        unpack(content)
    whole = pack(new_fit(Recipe(epochs=1)).snapshot())
    with pytest.raises(ValueError, match="no whole snapshot"):
        unpack(whole[: len(whole) // 2])
