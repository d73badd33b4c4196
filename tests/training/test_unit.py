"""Units: which trials train together, and how each of them ends."""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import data
from harness.conversion.evaluate import MIN_AGREEMENT, predict
from harness.core.errors import Reason
from harness.core.recipe import Distillation, Initializer, Recipe
from harness.core.sweep import Precision, Trial
from harness.models.custom import identify
from harness.training.compiled import COMPILED_NETWORKS
from harness.training.events import Checkpoint, EpochEnded, Failed, Finished, Started, UnitEvent
from harness.training.trial import Stopwatch
from harness.training.unit import Conditions, Unit, group_trials, run_unit

PLAIN = Recipe(epochs=3, learning_rate=0.01)
DISTILLED = replace(PLAIN, distillation=Distillation(weight=1.0))
BINARY, FLOAT, INT8 = Precision.BINARY, Precision.FLOAT32, Precision.INT8


def trial(precision: Precision, recipe: Recipe = PLAIN, seed: int = 0, units: int = 32) -> Trial:
    return Trial(
        "mlp",
        {"layers": 1, "units": units},
        chosen={"units": units},
        precision=precision,
        dataset="digits",
        recipe=recipe,
        seed=seed,
    )


def run(
    *trials: Trial,
    checkpoints: Mapping[str, bytes] | None = None,
    checkpoint_s: float = float("inf"),
) -> list[UnitEvent]:
    (unit,) = group_trials(trials, checkpoints or {})
    return list(
        run_unit(
            unit,
            data.load("digits"),
            conditions=Conditions(checkpoint_s=checkpoint_s),
            watch=Stopwatch(),
        )
    )


def finished(events: list[UnitEvent]) -> dict[Precision, Finished]:
    assert not [event for event in events if isinstance(event, Failed)]
    return {event.trial.precision: event for event in events if isinstance(event, Finished)}


def test_float_and_int8_twins_share_a_training_and_a_binary_network_has_its_own() -> None:
    trials = [
        trial(precision, seed=seed) for seed, precision in product((0, 1), (BINARY, FLOAT, INT8))
    ]
    assert [unit.trials for unit in group_trials(trials, {})] == [
        (trials[0],),
        (trials[1], trials[2]),
        (trials[3],),
        (trials[4], trials[5]),
    ]


def test_a_student_trains_after_its_teacher_even_if_the_teacher_is_not_a_trial() -> None:
    (student_unit,) = group_trials([trial(BINARY, DISTILLED)], {})
    assert [(part.leader.precision, len(part.trials)) for part in student_unit.parts] == [
        (FLOAT, 0),
        (BINARY, 1),
    ]
    (shared_unit,) = group_trials(
        [trial(BINARY, DISTILLED), trial(INT8, DISTILLED), trial(FLOAT, DISTILLED)], {}
    )
    assert [(part.leader.precision, len(part.trials)) for part in shared_unit.parts] == [
        (FLOAT, 2),
        (BINARY, 1),
    ]
    (float_unit,) = group_trials([trial(FLOAT, DISTILLED)], {})
    assert not any(part.is_student for part in float_unit.parts)


@pytest.mark.full
def test_int8_is_the_float_network_quantised_and_costs_no_second_training() -> None:
    events = run(trial(FLOAT), trial(INT8))
    ended = finished(events)
    float32, int8 = ended[FLOAT].outcome, ended[INT8].outcome
    assert float32.curve == int8.curve
    assert float32.accuracy == int8.accuracy, "of the same trained network"
    assert (float32.timings.fit_s > 0, int8.timings.fit_s) == (True, 0.0)
    assert [type(event) for event in events if not isinstance(event, EpochEnded)] == [
        Started,
        Started,
        Finished,
        Finished,
    ]
    assert int8.artifacts[0].size_bytes < float32.artifacts[0].size_bytes
    assert int8.artifacts[0].sha256 != float32.artifacts[0].sha256


@pytest.mark.full
@pytest.mark.parametrize("precision", [BINARY, FLOAT, INT8])
def test_a_trial_gives_the_same_file_alone_and_with_its_twins(precision: Precision) -> None:
    alone = finished(run(trial(precision)))[precision].outcome
    with_twins = finished(
        run(trial(BINARY)) if precision is BINARY else run(trial(FLOAT), trial(INT8))
    )
    assert with_twins[precision].outcome.artifacts[0].sha256 == alone.artifacts[0].sha256


@pytest.mark.full
def test_a_student_learns_to_answer_as_its_teacher_does() -> None:
    recipe = replace(DISTILLED, epochs=15)
    outcomes = finished(run(trial(BINARY, recipe), trial(FLOAT, recipe)))
    images = data.load("digits").test.images

    def predict_classes(precision: Precision) -> NDArray[np.int64]:
        (file,) = outcomes[precision].outcome.files.values()
        classes: NDArray[np.int64] = predict(file, images).argmax(axis=1)
        return classes

    assert (predict_classes(BINARY) == predict_classes(FLOAT)).mean() > 0.85


@pytest.mark.full
def test_a_student_fails_with_its_teacher_and_names_the_reason() -> None:
    hopeless = replace(DISTILLED, optimizer="sgd", learning_rate=1e30)
    reasons = {
        event.trial.precision: event.failure
        for event in run(trial(BINARY, hopeless), trial(FLOAT, hopeless))
        if isinstance(event, Failed)
    }
    assert reasons[FLOAT].reason is Reason.DIVERGED
    assert reasons[BINARY].reason is Reason.NO_TEACHER
    assert "float twin" in reasons[BINARY].message


def test_an_unexpected_error_fails_its_trial_with_a_log() -> None:
    impossible = replace(trial(BINARY), parameters={"layers": 1, "units": -5})
    (failed,) = (event for event in run(impossible) if isinstance(event, Failed))
    assert failed.failure.reason is Reason.BUG
    assert "Traceback" in failed.failure.log


@pytest.mark.full
def test_a_training_resumed_from_its_checkpoint_gives_the_same_files() -> None:
    recipe = replace(DISTILLED, epochs=4)
    trials = trial(BINARY, recipe), trial(FLOAT, recipe)
    uninterrupted = run(*trials, checkpoint_s=0)
    checkpoints = [event for event in uninterrupted if isinstance(event, Checkpoint)]
    assert [event.key for event in checkpoints] == 4 * [f"{trials[0].training}-float32"] + 4 * [
        f"{trials[0].training}-binary"
    ]

    interrupted_in_the_students_second_epoch = {
        event.key: event.content for event in checkpoints[:6]
    }
    resumed = run(*trials, checkpoints=interrupted_in_the_students_second_epoch)
    assert [event.epoch.number for event in resumed if isinstance(event, EpochEnded)] == [3, 4]
    for precision, expected in finished(uninterrupted).items():
        outcome = finished(resumed)[precision].outcome
        assert outcome.artifacts == expected.outcome.artifacts
        assert [(epoch.number, epoch.loss) for epoch in outcome.curve] == [
            (epoch.number, epoch.loss) for epoch in expected.outcome.curve
        ]


@pytest.mark.full
def test_a_compiled_network_serves_the_next_trial_and_changes_none_of_its_numbers() -> None:
    """A trial gives the same numbers on a new worker and after another trial of its form."""
    first, second = (
        trial(BINARY, seed=1),
        trial(BINARY, replace(PLAIN, learning_rate=0.02, epochs=4), seed=2),
    )
    COMPILED_NETWORKS.clear()
    alone = finished(run(second))[BINARY].outcome
    COMPILED_NETWORKS.clear()
    run(first)
    after_another = finished(run(second))[BINARY].outcome
    (compiled,) = COMPILED_NETWORKS.values()
    assert compiled.run_epoch.experimental_get_tracing_count() == 1
    assert after_another.artifacts == alone.artifacts
    assert [epoch.loss for epoch in after_another.curve] == [epoch.loss for epoch in alone.curve]


@pytest.mark.full
def test_a_checkpoint_of_another_network_is_ignored() -> None:
    wide = [
        event
        for event in run(trial(BINARY, units=48), checkpoint_s=0)
        if isinstance(event, Checkpoint)
    ]
    key = f"{trial(BINARY).training}-binary"
    for content in (wide[-1].content, b"not a checkpoint"):
        resumed = run(trial(BINARY), checkpoints={key: content})
        assert [event.epoch.number for event in resumed if isinstance(event, EpochEnded)] == [
            1,
            2,
            3,
        ]
    assert Unit((trial(BINARY),)).checkpoints == {}


def failure_of(failing: Trial) -> str:
    (failed,) = (event for event in run(failing) if isinstance(event, Failed))
    assert failed.failure.reason is Reason.BUG
    assert "Traceback" in failed.failure.log
    return failed.failure.message


FAULTY = """\
def plain(task):
    raise ValueError("no such\\nthing")

def lazy(task):
    import nowhere

def within(task):
    from harness.models.keras import keras
    class Layer(keras.layers.Layer):
        def call(self, x):
            raise ValueError("no such\\nthing")
    return keras.Sequential([keras.Input(task.shape), Layer()])
"""


@pytest.mark.parametrize(
    ("function", "description"),
    [
        ("plain", "raised ValueError: no such (faulty.py:2); fix it and run the command again."),
        ("within", "raised ValueError: no such (faulty.py:12); fix it and run the command again."),
        (
            "lazy",
            "raised ModuleNotFoundError: No module named 'nowhere' (faulty.py:5); "
            "put its imports into the same file or package, or install them on every node.",
        ),
    ],
)
def test_an_error_in_the_users_function_names_the_function_and_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, description: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    (tmp_path / "faulty.py").write_text(FAULTY)
    name = identify(f"faulty:{function}", {})
    assert (
        failure_of(
            Trial(name, {}, chosen={}, precision=FLOAT, dataset="digits", recipe=PLAIN, seed=0)
        )
        == f"{name} {description}"
    )


def test_an_error_in_the_harness_names_its_place_and_does_not_blame_the_user() -> None:
    failing = replace(trial(FLOAT), architecture="none_of_ours")
    description = (
        r"KeyError: 'none_of_ours' \(__init__\.py:\d+\): "
        r"a bug in the harness or a library; please report it\."
    )
    assert re.fullmatch(description, failure_of(failing))


def test_a_network_that_has_hardly_learned_is_quantised_despite_low_agreement() -> None:
    recipe = Recipe(epochs=1, learning_rate=1e-9, initializer=Initializer("glorot_uniform", 1e-6))
    (artifact,) = finished(run(trial(INT8, recipe)))[INT8].outcome.artifacts
    assert artifact.agreement is not None
    assert artifact.agreement < MIN_AGREEMENT[INT8], "all scores are nearly tied"
    assert artifact.accuracy is not None
    assert 0 < artifact.accuracy < 0.3
