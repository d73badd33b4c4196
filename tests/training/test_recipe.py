"""Each part of a recipe has the effect that it describes, from schedules to augmentation."""

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
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
from harness.models import build_architecture, make_task
from harness.models.blocks import add_softmax, make_initializer
from harness.models.keras import keras, larq, tf
from harness.training.fit import Fit, Scores, compute_scores
from harness.training.recipe import augment, build_loss, build_optimizer, plan_learning_rates
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
    teacher_scores: Scores | None = None,
    dataset: Dataset | None = None,
) -> Fit:
    dataset = dataset or data.load("digits")
    fitted = trial(recipe, precision)
    model = build_model(fitted, dataset)
    return Fit(fitted, model, dataset=dataset, teacher_scores=teacher_scores)


def train(recipe: Recipe, precision: Precision = Precision.BINARY) -> Fit:
    fit = new_fit(recipe, precision)
    deque(fit.run_epochs(), maxlen=0)
    return fit


def kernels(model: Any) -> list[Floats]:
    return [weight.numpy() for weight in model.trainable_variables if "kernel" in weight.name]


def assert_same_weights(weights: list[Floats], expected: list[Floats]) -> None:
    for weight, expected_weight in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, expected_weight)


# Schedules


def rates(schedule: Schedule, epochs: Sequence[float]) -> list[float]:
    """Return the rates at these epochs of a training of 8."""
    step_rates = every_rate(Recipe(epochs=8, learning_rate=schedule))
    return [step_rates[round(epoch * STEPS)] for epoch in epochs]


def every_rate(recipe: Recipe) -> list[float]:
    """Return the rate of every step, up to one epoch after the last."""
    rates_of = plan_learning_rates(recipe, STEPS)
    epoch_rates = [rates_of(epoch) for epoch in range(1, recipe.epochs + 2)]
    return [float(rate) for rate in np.concatenate(epoch_rates)]


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
def test_a_schedule_falls_as_documented(schedule: Schedule, expected: list[float]) -> None:
    assert rates(schedule, [0, 1, 2, 3, 8]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", ["exponential", "step", "cosine", "linear"])
def test_a_warmup_rises_evenly_and_the_fall_starts_after_it(schedule: Any) -> None:
    warmed = Schedule(schedule, 0.4, warmup_epochs=2)
    assert rates(warmed, [0, 0.5, 1, 2]) == pytest.approx([0, 0.1, 0.2, 0.4])
    shorter = every_rate(Recipe(epochs=6, learning_rate=replace(warmed, warmup_epochs=0)))
    assert rates(warmed, [3, 5.5, 8]) == pytest.approx(
        [shorter[step] for step in (10, 35, 60)], abs=1e-6
    )


def test_a_cosine_with_warmup_equals_that_of_keras() -> None:
    ours = every_rate(Recipe(epochs=8, learning_rate=Schedule("cosine", 0.4, warmup_epochs=1.5)))
    theirs = keras.optimizers.schedules.CosineDecay(0.0, 65, warmup_target=0.4, warmup_steps=15)
    assert ours == pytest.approx([float(theirs(step)) for step in range(90)], abs=1e-6)


def test_a_warmup_as_long_as_the_training_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs"):
        Recipe(epochs=2, learning_rate=Schedule("linear", 0.1, warmup_epochs=2))


# Losses

LABELS = np.array([0, 2, 1])
SCORES = np.array([[0.5, -2, 0], [3, -1, 2], [-0.5, 0.25, -4]], np.float32)
TEACHER_SCORES = np.array([[2, 0, 1], [0, 1, 4], [-1, 3, 0]], np.float32)


def test_the_squared_hinge_is_the_mean_over_classes_against_targets_of_plus_and_minus_one() -> None:
    squared_hinge = build_loss(Recipe(epochs=1, loss="squared_hinge"), distilled=False)
    losses = squared_hinge(LABELS, SCORES, None)
    by_hand = [(0.5**2 + 0 + 1) / 3, (4**2 + 0 + 0) / 3, (0.5**2 + 0.75**2 + 0) / 3]
    assert losses.numpy().tolist() == pytest.approx(by_hand)
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    np.testing.assert_allclose(losses, keras.losses.squared_hinge(2 * one_hot - 1, SCORES))


def test_the_cross_entropy_equals_that_of_keras_over_scores() -> None:
    losses = build_loss(Recipe(epochs=1), distilled=False)(LABELS, SCORES, None)
    expected = keras.losses.sparse_categorical_crossentropy(LABELS, SCORES, from_logits=True)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_students_loss_weighs_its_labels_and_its_teachers_softened_answers() -> None:
    recipe = Recipe(
        epochs=1, loss="squared_hinge", distillation=Distillation(weight=0.25, temperature=3.0)
    )
    softened = [tf.nn.softmax(answers / 3.0).numpy() for answers in (TEACHER_SCORES, SCORES)]
    soft = -9 * (softened[0] * np.log(softened[1])).sum(axis=1)
    hard = build_loss(recipe, distilled=False)(LABELS, SCORES, None).numpy()
    losses = build_loss(recipe, distilled=True)(LABELS, SCORES, TEACHER_SCORES)
    np.testing.assert_allclose(losses, 0.75 * hard + 0.25 * soft, rtol=1e-5)


# Optimizers


def test_bop_flips_kernels_as_published_and_leaves_other_weights_to_adam() -> None:
    threshold, gamma, random = 0.03, 0.2, np.random.default_rng(0)
    model = build_model(trial(Recipe(epochs=1, optimizer="bop")), data.load("digits"))
    variables = model.trainable_variables
    expected = [variable.numpy() for variable in variables]
    averages = [np.zeros_like(value) for value in expected]
    adam = keras.optimizers.Adam(0.01)
    others = [tf.Variable(variable) for variable in variables if "kernel" not in variable.name]
    ours = build_optimizer(Recipe(epochs=1, optimizer="bop", bop=Bop(threshold, gamma)))
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
        [variable.numpy() for variable in variables if "kernel" not in variable.name],
        [variable.numpy() for variable in others],
    )


@pytest.mark.full
def test_bop_learns_and_resumes_from_a_snapshot_bit_for_bit() -> None:
    recipe = Recipe(
        epochs=4, optimizer="bop", learning_rate=Schedule("cosine", 0.01, warmup_epochs=0.5)
    )
    original, resumed = new_fit(recipe), new_fit(recipe)
    deque(islice(original.run_epochs(), 2), maxlen=0)
    resumed.restore(unpack(pack(original.snapshot())))
    for fit in (original, resumed):
        deque(fit.run_epochs(), maxlen=0)
    assert_same_weights(resumed.model.get_weights(), original.model.get_weights())
    assert original.curve[-1].accuracy > 0.6
    assert all(set(np.unique(kernel)) == {-1, 1} for kernel in kernels(original.model))


@pytest.mark.full
def test_a_float_twin_with_bop_trains_as_with_adam() -> None:
    by_bop = train(Recipe(epochs=1, optimizer="bop"), Precision.FLOAT32)
    by_adam = train(Recipe(epochs=1, optimizer="adam"), Precision.FLOAT32)
    assert_same_weights(by_bop.model.get_weights(), by_adam.model.get_weights())


# Quantizers and initial kernels


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [
        *({"input_quantizer": name} for name in get_args(InputQuantizer)),
        *(
            {"kernel_quantizer": name}
            for name in get_args(KernelQuantizer)
            if name != Recipe.kernel_quantizer
        ),
        {"optimizer": "bop"},
    ],
    ids=lambda settings: "-".join(next(iter(settings.items()))),
)
def test_every_quantizers_network_is_deployed_with_binary_kernels(settings: dict[str, Any]) -> None:
    recipe, digits = Recipe(epochs=3, learning_rate=0.01, **settings), data.load("digits")
    fit = train(recipe)
    task = make_task(digits.shape, digits.classes, precision=Precision.BINARY, recipe=recipe)
    deployed = add_softmax(
        build_architecture("mlp", trial(recipe).parameters).build_deployed_model(task, fit.model)
    )
    file = convert(deployed, Precision.BINARY, samples=fit.training_images())
    expected = compute_scores(fit.model, digits.test.images)
    evaluation = evaluate(
        file,
        digits.test.images,
        labels=digits.test.labels,
        expected=expected,
        threads=1,
        min_agreement=MIN_AGREEMENT[Precision.BINARY],
    )
    assert fit.curve[-1].loss < fit.curve[0].loss
    assert evaluation.accuracy > 0.5
    assert read_anatomy(file).operators["LceBconv2d"] == 1
    assert read_anatomy(file).binary_macs == 32 * 10


def test_dorefa_weights_are_exactly_plus_and_minus_one() -> None:
    recipe = Recipe(epochs=1, kernel_quantizer="dorefa")
    model = build_model(trial(recipe), data.load("digits"))
    for layer in model.layers:
        if isinstance(layer, larq.layers.QuantDense):
            assert set(np.unique(layer.kernel_quantizer(layer.kernel))) == {-1, 1}


@pytest.mark.parametrize("quantizer", get_args(KernelQuantizer))
def test_latent_weights_stay_within_reach_of_their_gradient(quantizer: KernelQuantizer) -> None:
    recipe = Recipe(epochs=1, kernel_quantizer=quantizer)
    model = build_model(trial(recipe), data.load("digits"))
    optimizer = build_optimizer(recipe)
    optimizer.learning_rate.assign(3.0)  # one step takes every latent weight far beyond -1
    optimizer.build(model.trainable_variables)
    optimizer.apply_gradients(
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
    values = make_initializer(Initializer(distribution, scale))((fan_in, fan_out)).numpy()
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}
    assert values.std() == pytest.approx(
        scale * variance[distribution.split("_")[0]] ** 0.5, rel=0.01
    )


def test_a_networks_initial_kernels_have_the_recipes_scale() -> None:
    small, large = (
        kernels(
            build_model(
                trial(Recipe(epochs=1, initializer=Initializer("he_normal", scale))),
                data.load("digits"),
            )
        )
        for scale in (0.5, 2.0)
    )
    for small_kernel, large_kernel in zip(small, large, strict=True):
        np.testing.assert_allclose(4 * small_kernel, large_kernel, rtol=1e-5)


# Images

FLIP_AND_SHIFT = Recipe(epochs=1, augmentation="flip_and_shift")


def list_variants(image: Floats) -> list[Floats]:
    """Return every augmented version of an image of 16 x 24.

    It may be mirrored, and is shifted by up to 2 and 3 pixels.
    """
    padded = [
        np.pad(flipped, ((2, 2), (3, 3), (0, 0)), "reflect") for flipped in (image, image[:, ::-1])
    ]
    offsets = product(padded, range(5), range(7))
    return [pixels[y : y + 16, x : x + 24] for pixels, y, x in offsets]


def variant_number(image: Floats, result: Floats) -> int:
    for number, variant in enumerate(list_variants(image)):
        if np.array_equal(variant, result):
            return number
    raise AssertionError("the result is not an augmented version of the image")


def test_each_image_is_flipped_and_shifted_by_itself() -> None:
    images = np.random.default_rng(0).normal(size=(200, 16, 24, 3)).astype(np.float32)
    results = augment(FLIP_AND_SHIFT, tf.constant(images), seed=tf.constant([1, 2, 3])).numpy()
    numbers = [variant_number(image, result) for image, result in zip(images, results, strict=True)]
    assert {number // 35 for number in numbers} == {0, 1}
    assert {number % 35 // 7 for number in numbers} == set(range(5))
    assert {number % 7 for number in numbers} == set(range(7))


def test_augmentation_depends_on_its_seed_alone() -> None:
    images = tf.constant(data.load("digits").train.images[:50])
    first, second = (
        augment(FLIP_AND_SHIFT, images, seed=tf.constant([1, 2, 3])).numpy() for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    for other in ([0, 2, 3], [1, 0, 3], [1, 2, 0]):
        assert not np.array_equal(first, augment(FLIP_AND_SHIFT, images, seed=tf.constant(other)))


@pytest.mark.full
def test_it_trains_on_augmented_images() -> None:
    augmented_losses = [epoch.loss for epoch in train(FLIP_AND_SHIFT).curve]
    plain_losses = [epoch.loss for epoch in train(Recipe(epochs=1)).curve]
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


@pytest.mark.full
def test_a_student_of_weight_1_learns_its_teachers_answers_whatever_the_labels() -> None:
    teacher = train(Recipe(epochs=5, learning_rate=0.01), Precision.FLOAT32)
    teacher_scores = teacher.compute_training_scores()
    recipe = Recipe(epochs=8, learning_rate=0.01, distillation=Distillation(weight=1.0))
    digits = data.load("digits")
    mislabelled = replace(
        digits, train=Split(digits.train.images, (digits.train.labels + 1) % digits.classes)
    )
    student = new_fit(recipe, teacher_scores=teacher_scores, dataset=mislabelled)
    deque(student.run_epochs(), maxlen=0)
    assert student.curve[-1].loss < student.curve[0].loss
    student_scores = student.compute_training_scores()
    assert np.mean(student_scores.argmax(axis=1) == teacher_scores.argmax(axis=1)) > 0.8


# The guide


def list_keys(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of a recipe and of its parts, with its default as the guide writes it."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        key = f"{prefix}{field.name}"
        yield key, write_default(field)
        for part in (hints[field.name], *get_args(hints[field.name])):
            if is_dataclass(part) and isinstance(part, type):
                yield from list_keys(part, f"{key}.")


def write_default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    if field.default is None:
        return "none"
    return "its parts'" if is_dataclass(field.default) else str(field.default)


def test_the_guide_lists_every_key_of_a_recipe_with_its_default(repository: Path) -> None:
    page = (repository / "docs/guides/training.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z_.]+)` \| `?([^|`]+?)`? \|", page, re.MULTILINE))
    assert documented == dict(list_keys(Recipe))
