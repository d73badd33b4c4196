"""What a recipe says is what is done: schedules, losses, optimizers, quantizers, where kernels start, and images."""

import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import data
from harness.conversion.anatomy import read_anatomy
from harness.conversion.convert import convert
from harness.conversion.evaluate import MIN_AGREEMENT, evaluate
from harness.core.recipe import (
    Bop,
    Distillation,
    Distribution,
    EarlyStopping,
    Initializer,
    InputQuantizer,
    KernelQuantizer,
    Recipe,
    Schedule,
)
from harness.core.sweep import Precision, Trial
from harness.data import Dataset
from harness.data.dataset import Split
from harness.models import architecture_of, task_of
from harness.models.blocks import initializer, with_probabilities
from harness.models.keras import keras, larq, tf
from harness.training.fit import Fit, Scores, scores
from harness.training.recipe import augmented, learning_rates, loss, optimizer
from harness.training.snapshot import pack, unpack
from harness.training.trial import build_model

Floats = NDArray[np.float32]
STEPS = 10  # an epoch, in the tests of schedules


def trial(recipe: Recipe, precision: Precision = Precision.BINARY) -> Trial:
    return Trial(
        "mlp",
        {"layers": 1, "units": 32},
        chosen={},
        precision=precision,
        dataset="digits",
        recipe=recipe,
        seed=1,
    )


def new_fit(
    recipe: Recipe,
    precision: Precision = Precision.BINARY,
    taught: Scores | None = None,
    dataset: Dataset | None = None,
) -> Fit:
    dataset = dataset or data.load("digits")
    one = trial(recipe, precision)
    return Fit(one, build_model(one, dataset), dataset=dataset, taught=taught)


def trained(recipe: Recipe, precision: Precision = Precision.BINARY) -> Fit:
    fit = new_fit(recipe, precision)
    deque(fit.run_epochs(), maxlen=0)
    return fit


def kernels(model: Any) -> list[Floats]:
    return [weight.numpy() for weight in model.trainable_variables if "kernel" in weight.name]


def assert_same_weights(found: list[Floats], expected: list[Floats]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Schedules


def rates(schedule: Schedule, *epochs: float) -> list[float]:
    """At those epochs, of 8 that are trained."""
    found = every_rate(Recipe(epochs=8, learning_rate=schedule))
    return [found[round(epoch * STEPS)] for epoch in epochs]


def every_rate(recipe: Recipe) -> list[float]:
    """Of every step, and of those of one epoch more."""
    of_epoch = learning_rates(recipe, STEPS)
    return [float(rate) for number in range(1, recipe.epochs + 2) for rate in of_epoch(number)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            Schedule("exponential", 0.4, decay_rate=0.25, decay_epochs=2),
            [0.4, 0.2, 0.1, 0.05, 0.4 * 0.25**4],
        ),
        (Schedule("step", 0.4, decay_rate=0.5, decay_epochs=2), [0.4, 0.4, 0.2, 0.2, 0.4 * 0.5**4]),
        (
            Schedule("cosine", 0.4),
            [0.2 * (1 + math.cos(math.pi * share)) for share in (0, 1 / 8, 2 / 8, 3 / 8, 1)],
        ),
        (Schedule("linear", 0.4), [0.4, 0.35, 0.3, 0.25, 0.0]),
    ],
    ids=lambda value: value.schedule if isinstance(value, Schedule) else "",
)
def test_a_schedule_falls_as_it_says(schedule: Schedule, expected: list[float]) -> None:
    assert rates(schedule, 0, 1, 2, 3, 8) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", ["exponential", "step", "cosine", "linear"])
def test_a_warmup_rises_evenly_and_the_fall_starts_after_it(schedule: Any) -> None:
    warmed = Schedule(schedule, 0.4, warmup_epochs=2)
    assert rates(warmed, 0, 0.5, 1, 2) == pytest.approx([0, 0.1, 0.2, 0.4])
    shorter = every_rate(Recipe(epochs=6, learning_rate=replace(warmed, warmup_epochs=0)))
    assert rates(warmed, 3, 5.5, 8) == pytest.approx(
        [shorter[step] for step in (10, 35, 60)], abs=1e-6
    )


def test_a_warmed_up_cosine_is_that_of_keras() -> None:
    ours = every_rate(Recipe(epochs=8, learning_rate=Schedule("cosine", 0.4, warmup_epochs=1.5)))
    theirs = keras.optimizers.schedules.CosineDecay(0.0, 65, warmup_target=0.4, warmup_steps=15)
    assert ours == pytest.approx([float(theirs(step)) for step in range(90)], abs=1e-6)


def test_a_warmup_as_long_as_the_training_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs"):
        Recipe(epochs=2, learning_rate=Schedule("linear", 0.1, warmup_epochs=2))


# Losses

LABELS = np.array([0, 2, 1])
SCORES = np.array([[0.5, -2, 0], [3, -1, 2], [-0.5, 0.25, -4]], np.float32)
TAUGHT = np.array([[2, 0, 1], [0, 1, 4], [-1, 3, 0]], np.float32)


def test_the_squared_hinge_is_the_mean_over_classes_against_targets_of_plus_and_minus_one() -> None:
    found = loss(Recipe(epochs=1, loss="squared_hinge"), distilled=False)(LABELS, SCORES, None)
    by_hand = [(0.5**2 + 0 + 1) / 3, (4**2 + 0 + 0) / 3, (0.5**2 + 0.75**2 + 0) / 3]
    assert found.numpy().tolist() == pytest.approx(by_hand)
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    np.testing.assert_allclose(found, keras.losses.squared_hinge(2 * one_hot - 1, SCORES))


def test_the_cross_entropy_is_that_of_keras_over_scores() -> None:
    found = loss(Recipe(epochs=1), distilled=False)(LABELS, SCORES, None)
    expected = keras.losses.sparse_categorical_crossentropy(LABELS, SCORES, from_logits=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_students_loss_is_its_labels_and_its_teachers_softened_answers_by_weight() -> None:
    recipe = Recipe(
        epochs=1, loss="squared_hinge", distillation=Distillation(weight=0.25, temperature=3.0)
    )
    softened = [tf.nn.softmax(answers / 3.0).numpy() for answers in (TAUGHT, SCORES)]
    soft = -9 * (softened[0] * np.log(softened[1])).sum(axis=1)
    hard = loss(recipe, distilled=False)(LABELS, SCORES, None).numpy()
    found = loss(recipe, distilled=True)(LABELS, SCORES, TAUGHT)
    np.testing.assert_allclose(found, 0.75 * hard + 0.25 * soft, rtol=1e-5)


# Optimizers


def test_bop_flips_a_kernel_as_published_and_leaves_the_rest_to_adam() -> None:
    threshold, gamma, random = 0.03, 0.2, np.random.default_rng(0)
    model = build_model(trial(Recipe(epochs=1, optimizer="bop")), data.load("digits"))
    variables = model.trainable_variables
    expected = [variable.numpy() for variable in variables]
    averages = [np.zeros_like(value) for value in expected]
    adam, others = (
        keras.optimizers.Adam(0.01),
        [tf.Variable(v) for v in variables if "kernel" not in v.name],
    )
    ours = optimizer(Recipe(epochs=1, optimizer="bop", bop=Bop(threshold, gamma)))
    ours.learning_rate.assign(0.01)
    ours.build(variables)
    for _ in range(5):
        gradients = [random.normal(size=value.shape).astype(np.float32) for value in expected]
        ours.apply_gradients(zip(map(tf.constant, gradients), variables, strict=True))
        rest = [
            gradient
            for gradient, variable in zip(gradients, variables, strict=True)
            if "kernel" not in variable.name
        ]
        adam.apply_gradients(zip(map(tf.constant, rest), others, strict=True))
        for index, gradient in enumerate(gradients):  # Helwegen et al. 2019, algorithm 1
            averages[index] = (1 - gamma) * averages[index] + gamma * gradient
            flips = (np.abs(averages[index]) > threshold) & (
                np.sign(averages[index]) == np.sign(expected[index])
            )
            expected[index] = np.where(flips, -expected[index], expected[index])
    published = [
        value
        for value, variable in zip(expected, variables, strict=True)
        if "kernel" in variable.name
    ]
    assert_same_weights(kernels(model), published)
    assert_same_weights(
        [v.numpy() for v in variables if "kernel" not in v.name], [v.numpy() for v in others]
    )


def test_bop_learns_and_goes_on_from_a_snapshot_bit_for_bit() -> None:
    recipe = Recipe(
        epochs=4, optimizer="bop", learning_rate=Schedule("cosine", 0.01, warmup_epochs=0.5)
    )
    whole, resumed = new_fit(recipe), new_fit(recipe)
    deque(islice(whole.run_epochs(), 2), maxlen=0)
    resumed.restore(unpack(pack(whole.snapshot())))
    for fit in (whole, resumed):
        deque(fit.run_epochs(), maxlen=0)
    assert_same_weights(resumed.model.get_weights(), whole.model.get_weights())
    assert whole.curve[-1].accuracy > 0.6
    assert all(set(np.unique(kernel)) == {-1, 1} for kernel in kernels(whole.model))


def test_a_float_twin_under_bop_trains_as_by_adam() -> None:
    by_bop = trained(Recipe(epochs=1, optimizer="bop"), Precision.FLOAT32)
    by_adam = trained(Recipe(epochs=1, optimizer="adam"), Precision.FLOAT32)
    assert_same_weights(by_bop.model.get_weights(), by_adam.model.get_weights())


# Quantizers and where kernels start


@pytest.mark.parametrize(
    "said",
    [
        *({"input_quantizer": name} for name in get_args(InputQuantizer)),
        *(
            {"kernel_quantizer": name}
            for name in get_args(KernelQuantizer)
            if name != Recipe.kernel_quantizer
        ),
        {"optimizer": "bop"},
    ],
    ids=lambda said: "-".join(next(iter(said.items()))),
)
def test_what_each_quantizer_trains_is_deployed_with_binary_kernels(said: dict[str, Any]) -> None:
    recipe, digits = Recipe(epochs=3, learning_rate=0.01, **said), data.load("digits")
    fit, task = (
        trained(recipe),
        task_of(digits.shape, digits.classes, precision=Precision.BINARY, recipe=recipe),
    )
    deployed = with_probabilities(architecture_of(trial(recipe)).deployed_model(task, fit.model))
    file = convert(deployed, Precision.BINARY, samples=fit.training_images())
    expected = scores(fit.model, digits.test.images)
    found = evaluate(
        file,
        digits.test.images,
        labels=digits.test.labels,
        expected=expected,
        threads=1,
        min_agreement=MIN_AGREEMENT[Precision.BINARY],
    )
    assert fit.curve[-1].loss < fit.curve[0].loss
    assert found.accuracy > 0.5
    assert read_anatomy(file).operators["LceBconv2d"] == 1
    assert read_anatomy(file).binary_macs == 32 * 10


def test_dorefa_weights_are_exactly_plus_and_minus_one() -> None:
    recipe = Recipe(epochs=1, kernel_quantizer="dorefa")
    model = build_model(trial(recipe), data.load("digits"))
    for layer in model.layers:
        if isinstance(layer, larq.layers.QuantDense):
            assert set(np.unique(layer.kernel_quantizer(layer.kernel))) == {-1, 1}


@pytest.mark.parametrize("quantizer", get_args(KernelQuantizer))
def test_latent_weights_stay_where_their_gradient_reaches(quantizer: KernelQuantizer) -> None:
    recipe = Recipe(epochs=1, kernel_quantizer=quantizer)
    model, far = build_model(trial(recipe), data.load("digits")), optimizer(recipe)
    far.learning_rate.assign(3.0)
    far.build(model.trainable_variables)
    far.apply_gradients(
        [(tf.ones_like(variable), variable) for variable in model.trainable_variables]
    )
    assert all((kernel == -1).all() for kernel in kernels(model))


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("distribution", get_args(Distribution))
def test_kernels_start_with_their_distributions_deviation_times_the_scale(
    distribution: Distribution, scale: float
) -> None:
    keras.utils.set_random_seed(0)
    fan_in, fan_out = 500, 300
    values = initializer(Initializer(distribution, scale))((fan_in, fan_out)).numpy()
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}
    assert values.std() == pytest.approx(
        scale * variance[distribution.split("_")[0]] ** 0.5, rel=0.01
    )


def test_a_network_starts_as_its_recipe_says() -> None:
    small, large = (
        kernels(
            build_model(
                trial(Recipe(epochs=1, initializer=Initializer("he_normal", scale))),
                data.load("digits"),
            )
        )
        for scale in (0.5, 2.0)
    )
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(4 * one, other, rtol=1e-5)


# Images

FLIP_AND_SHIFT = Recipe(epochs=1, augmentation="flip_and_shift")


def moved(image: Floats) -> list[Floats]:
    """All that may become of one of 16 x 24: mirrored or not, moved by up to 2 and 3."""
    padded = [np.pad(one, ((2, 2), (3, 3), (0, 0)), "reflect") for one in (image, image[:, ::-1])]
    return [one[y : y + 16, x : x + 24] for one, y, x in product(padded, range(5), range(7))]


def test_each_image_is_flipped_and_shifted_by_itself() -> None:
    images = np.random.default_rng(0).normal(size=(200, 16, 24, 3)).astype(np.float32)
    found = augmented(FLIP_AND_SHIFT, tf.constant(images), seed=tf.constant([1, 2, 3])).numpy()
    chosen = [
        next(number for number, one in enumerate(moved(image)) if np.array_equal(one, result))
        for image, result in zip(images, found, strict=True)
    ]
    assert {number // 35 for number in chosen} == {0, 1}
    assert {number % 35 // 7 for number in chosen} == set(range(5))
    assert {number % 7 for number in chosen} == set(range(7))


def test_what_chance_does_follows_from_the_seed_alone() -> None:
    images = tf.constant(data.load("digits").train.images[:50])
    first, again = (
        augmented(FLIP_AND_SHIFT, images, seed=tf.constant([1, 2, 3])).numpy() for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    for other in ([0, 2, 3], [1, 0, 3], [1, 2, 0]):
        assert not np.array_equal(first, augmented(FLIP_AND_SHIFT, images, seed=tf.constant(other)))


def test_it_trains_on_augmented_images() -> None:
    augmented_losses, plain_losses = (
        [epoch.loss for epoch in trained(recipe).curve]
        for recipe in (FLIP_AND_SHIFT, Recipe(epochs=1))
    )
    assert augmented_losses > plain_losses


# Early stopping and distillation


def test_early_stopping_ends_after_its_patience_with_the_best_epochs_weights() -> None:
    recipe = Recipe(
        epochs=50, learning_rate=0.01, early_stopping=EarlyStopping(patience=3, min_delta=0.02)
    )
    fit, weights = new_fit(recipe), []
    for _ in fit.run_epochs():
        weights.append(fit.model.get_weights())
    best, best_accuracy = 0, -1.0
    for epoch in fit.curve:
        assert epoch.validation_accuracy is not None
        if epoch.validation_accuracy > best_accuracy + 0.02:
            best, best_accuracy = epoch.number, epoch.validation_accuracy
    assert len(fit.curve) == best + 3 < 50
    assert_same_weights(fit.model.get_weights(), weights[best - 1])


def test_a_student_of_weight_1_comes_to_answer_as_its_teacher_does_whatever_the_labels() -> None:
    taught = trained(Recipe(epochs=5, learning_rate=0.01), Precision.FLOAT32).training_scores()
    digits, recipe = (
        data.load("digits"),
        Recipe(epochs=8, learning_rate=0.01, distillation=Distillation(weight=1.0)),
    )
    mislabelled = replace(
        digits, train=Split(digits.train.images, (digits.train.labels + 1) % digits.classes)
    )
    student = new_fit(recipe, taught=taught, dataset=mislabelled)
    deque(student.run_epochs(), maxlen=0)
    assert student.curve[-1].loss < student.curve[0].loss
    assert np.mean(student.training_scores().argmax(axis=1) == taught.argmax(axis=1)) > 0.8


# The page


def keys(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key that a recipe may have, with its default as it is written; of its parts too."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        key = f"{prefix}{one.name}"
        yield key, default(one)
        for part in (hints[one.name], *get_args(hints[one.name])):
            if is_dataclass(part) and isinstance(part, type):
                yield from keys(part, f"{key}.")


def default(one: Field[Any]) -> str:
    if one.default is MISSING:
        return "required"
    return (
        "none"
        if one.default is None
        else "its parts'"
        if is_dataclass(one.default)
        else str(one.default)
    )


def test_the_page_has_every_key_of_a_recipe_with_its_default(repository: Path) -> None:
    page = (repository / "docs/guides/training.md").read_text()
    told = dict(re.findall(r"^\| `([a-z_.]+)` \| `?([^|`]+?)`? \|", page, re.MULTILINE))
    assert told == dict(keys(Recipe))
