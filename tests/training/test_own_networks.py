"""Networks of the user's own: everything that they bring takes part in their training."""

import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from harness import data
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial, TrialOutcome
from harness.models.custom import identify
from harness.training.compiled import COMPILED_NETWORKS
from harness.training.events import Checkpoint, Failed, Finished, UnitEvent
from harness.training.trial import Stopwatch
from harness.training.unit import Conditions, group_trials, run_unit

MODULE = """\
from harness.models.keras import Model, keras, layers, tf


def classify(task, *hidden):
    return keras.Sequential([layers.Input(task.shape), *hidden, layers.Dense(task.classes)])


def penalised(task, strength):
    flat = layers.Flatten()
    return classify(task, flat, layers.Dense(8, kernel_regularizer=keras.regularizers.l2(strength)))


class Penalty(layers.Layer):
    def __init__(self, strength):
        super().__init__()
        self.strength = strength

    def call(self, inputs):
        self.add_loss(self.strength * tf.reduce_mean(tf.square(inputs)))
        return inputs


def added(task, strength):
    return classify(task, layers.Flatten(), layers.Dense(8), Penalty(strength))


def dense_dropout(task):
    return classify(task, layers.Flatten(), layers.Dense(16), layers.Dropout(0.5))


def noisy_convolution(task):
    noise = layers.GaussianNoise(0.3)
    dropout = layers.SpatialDropout2D(0.2)
    convolution = layers.Conv2D(4, 3)
    return classify(task, convolution, dropout, noise, layers.Flatten())


class OwnNoise(layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = tf.random.get_global_generator().split()[0]

    def call(self, inputs, training=False):
        return inputs + self.generator.normal(tf.shape(inputs)) if training else inputs


def own_noise(task):
    return classify(task, layers.Flatten(), OwnNoise(), layers.Dense(16))


class FixedProjection(layers.Layer):
    def build(self, shape):
        self.matrix = tf.constant(keras.backend.get_value(tf.random.normal((shape[-1], 16))))

    def call(self, inputs):
        return tf.matmul(inputs, self.matrix)


def projected(task):
    return classify(task, layers.Flatten(), FixedProjection())


class Unrepeatable(layers.Layer):
    def call(self, inputs):
        return inputs * tf.random.uniform(tf.shape(inputs))


def unrepeatable(task):
    return classify(task, Unrepeatable(), layers.Flatten())


def compiled(task):
    model = classify(task, layers.Flatten())
    model.compile("sgd", "mse")
    return model


class OwnSteps(Model):
    def train_step(self, data):
        return {}


def own_steps(task):
    image = layers.Input(task.shape)
    return OwnSteps(image, layers.Dense(task.classes)(layers.Flatten()(image)))
"""
RANDOM = ("dense_dropout", "noisy_convolution", "own_noise", "projected")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the working directory one with the module `own`, and unload it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own.py").write_text(MODULE)
    COMPILED_NETWORKS.clear()
    yield
    sys.modules.pop("own", None)
    COMPILED_NETWORKS.clear()


def trial(function: str, *, seed: int = 0, epochs: int = 3, **parameters: float) -> Trial:
    return Trial(
        identify(f"own:{function}", parameters),
        parameters,
        chosen=parameters,
        precision=Precision.FLOAT32,
        dataset="digits",
        recipe=Recipe(epochs=epochs, learning_rate=0.01),
        seed=seed,
    )


def run(planned: Trial, checkpoints: Mapping[str, bytes] | None = None) -> list[UnitEvent]:
    (unit,) = group_trials([planned], checkpoints or {})
    conditions = Conditions(checkpoint_s=0)
    return list(run_unit(unit, data.load("digits"), conditions=conditions, watch=Stopwatch()))


def outcome(events: list[UnitEvent]) -> TrialOutcome:
    assert not [event.failure for event in events if isinstance(event, Failed)]
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished.outcome


def results(events: list[UnitEvent]) -> tuple[object, ...]:
    """Return everything of a trial's outcome that must not depend on circumstances."""
    ended = outcome(events)
    curve = [(epoch.loss, epoch.accuracy, epoch.validation_loss) for epoch in ended.curve]
    return ended.artifacts, curve


@pytest.mark.full
@pytest.mark.parametrize("function", ["penalised", "added"])
def test_what_a_network_adds_to_its_loss_counts(function: str) -> None:
    strengths = (0.0, 0.1, 10.0)
    outcomes = [outcome(run(trial(function, epochs=1, strength=each))) for each in strengths]
    losses = [ended.curve[0].loss for ended in outcomes]
    assert all(weak < strong for weak, strong in pairwise(losses)), losses
    assert len({ended.artifacts[0].sha256 for ended in outcomes}) == len(strengths)


@pytest.mark.full
@pytest.mark.parametrize("function", RANDOM)
def test_a_random_network_gives_the_same_bits_alone_after_another_and_resumed(
    function: str,
) -> None:
    alone = run(trial(function, seed=2))
    COMPILED_NETWORKS.clear()
    assert results(run(trial(function, seed=1))) != results(alone)
    assert results(run(trial(function, seed=2))) == results(alone), "after another"

    first, *_ = (event for event in alone if isinstance(event, Checkpoint))
    COMPILED_NETWORKS.clear()
    run(trial("penalised", strength=0.0))
    resumed = run(trial(function, seed=2), {first.key: first.content})
    assert results(resumed) == results(alone), "resumed"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("unrepeatable", r" uses RandomUniform, which no seed repeats; use a Keras layer"),
        ("compiled", r"^The model of own:compiled@\w+ is compiled, but the recipe decides"),
        ("own_steps", r"^The model of own:own_steps@\w+ overrides train_step, but the recipe"),
    ],
)
def test_a_network_whose_training_would_be_another_one_is_refused(
    function: str, message: str
) -> None:
    (failed,) = (event for event in run(trial(function)) if isinstance(event, Failed))
    assert re.search(message, failed.failure.message), failed.failure.message
