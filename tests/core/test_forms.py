from dataclasses import replace

import pytest

from harness.core.forms import NOISE, Form, Latency, SecondLook, find_wrong_looks
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial

TRIAL = Trial(
    "mlp",
    {"layers": 3, "units": 64},
    chosen={"units": 64},
    precision=Precision.BINARY,
    dataset="digits",
    recipe=Recipe(epochs=3),
    seed=0,
)
LOOK = SecondLook(
    "0123456789abcdef",
    "mlp",
    device="pi4",
    threads=1,
    untrained=Latency(100.0, 98.0, high_us=102.0),
    trained=Latency(101.0, 99.0, high_us=103.0),
    same_operators=True,
)


def make_form(trial: Trial = TRIAL, shape: tuple[int, int, int] = (8, 8, 1)) -> Form:
    return Form.of_trial(trial, shape, 10, converter="larq-compute-engine 0.16.0")


@pytest.mark.parametrize(
    "other",
    [
        replace(TRIAL, seed=1),
        replace(TRIAL, recipe=Recipe(epochs=9, optimizer="bop", learning_rate=0.1)),
        replace(TRIAL, dataset="others@0123456789ab"),
        replace(TRIAL, parameters={**TRIAL.parameters, "added": "later, with a default"}),
    ],
)
def test_trials_that_differ_in_training_alone_share_a_form(other: Trial) -> None:
    assert make_form(other).id == make_form().id


@pytest.mark.parametrize(
    "other",
    [
        make_form(replace(TRIAL, precision=Precision.FLOAT32)),
        make_form(replace(TRIAL, chosen={"units": 128})),
        make_form(replace(TRIAL, architecture="own:mlp@0123456789ab")),
        make_form(shape=(8, 8, 3)),
        replace(make_form(), converter="larq-compute-engine 0.17.0"),
        replace(make_form(), task=None),
    ],
)
def test_what_latency_may_depend_on_makes_another_form(other: Form) -> None:
    assert other.id != make_form().id


def test_a_form_is_described_as_untrained() -> None:
    assert str(make_form()) == "mlp units=64 binary 8x8x1 to 10, untrained"
    assert str(replace(make_form(), task=None)) == "mlp units=64, untrained"


def test_a_look_is_right_within_the_noise() -> None:
    at_the_limit = Latency(108.0, 102.0 * (1 + NOISE), high_us=110.0)
    assert find_wrong_looks([LOOK, replace(LOOK, trained=at_the_limit)]) == []
    assert LOOK.change == pytest.approx(0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(LOOK, same_operators=False),
        replace(LOOK, trained=Latency(109.0, 107.2, high_us=111.0)),
        replace(LOOK, trained=Latency(92.0, 91.0, high_us=93.0)),
        replace(LOOK, trained=Latency(108.0, None, high_us=None)),
    ],
)
def test_a_look_is_wrong_beyond_the_noise_or_with_other_operators(wrong: SecondLook) -> None:
    assert find_wrong_looks([LOOK, wrong]) == [wrong]
