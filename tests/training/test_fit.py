import pytest

from harness import data
from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Epoch, Precision, Recipe, Schedule
from harness.models import Task
from harness.models.mlp import Mlp
from harness.training.fit import fit
from harness.training.recipe import optimizer


def fitted(recipe: Recipe, seed: int = 0) -> tuple[Epoch, ...]:
    from harness.models.keras import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    digits = data.load("digits")
    model = Mlp(layers=1, units=16).training_model(
        Task(digits.shape, digits.classes, Precision.BINARY, recipe.initializer)
    )
    return fit(model, digits, recipe, seed, lambda _: None)


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


def test_a_batch_larger_than_the_set_is_cut_to_it() -> None:
    assert len(fitted(Recipe(epochs=1, batch_size=100_000))) == 1


@pytest.mark.parametrize(
    ("schedule", "after_one_epoch", "at_the_end"),
    [
        (Schedule("exponential", initial=0.1, decay_rate=0.5, decay_epochs=1), 0.05, 0.1 * 0.5**4),
        (Schedule("exponential", initial=0.1, decay_rate=0.5, decay_epochs=2), 0.1 * 0.5**0.5, 0.025),
        (Schedule("cosine", initial=0.1), 0.1 * 0.853553, 0.0),
    ],
)
def test_schedules_run_over_epochs(schedule: Schedule, after_one_epoch: float, at_the_end: float) -> None:
    rate = optimizer(Recipe(epochs=4, learning_rate=schedule), steps_per_epoch=10)._learning_rate
    assert float(rate(0)) == pytest.approx(0.1)
    assert float(rate(10)) == pytest.approx(after_one_epoch, rel=1e-4)
    assert float(rate(40)) == pytest.approx(at_the_end, abs=1e-6)
