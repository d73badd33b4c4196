"""One trial, from its data to the answers of its artifacts."""

import numpy as np
import pytest

from harness import data
from harness.bench.answers import load_probe, select_surest
from harness.conversion.evaluate import evaluate, predict, unpack_correct
from harness.core.errors import Reason, TrialFailed
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial, TrialOutcome
from harness.training.events import Finished
from harness.training.trial import Stopwatch
from harness.training.unit import Conditions, Unit, run_unit


@pytest.fixture(scope="module")
def outcome() -> TrialOutcome:
    recipe = Recipe(epochs=3, learning_rate=0.01)
    trial = Trial(
        "mlp",
        {"layers": 1, "units": 64},
        chosen={"units": 64},
        precision=Precision.BINARY,
        dataset="digits",
        recipe=recipe,
        seed=0,
    )
    (finished,) = (
        event
        for event in run_unit(
            Unit((trial,)), data.load("digits"), conditions=Conditions(), watch=Stopwatch()
        )
        if isinstance(event, Finished)
    )
    return finished.outcome


@pytest.mark.full
def test_an_artifact_stores_which_test_images_it_classifies_correctly(
    outcome: TrialOutcome,
) -> None:
    test = data.load("digits").test
    (artifact,) = outcome.artifacts
    correct = unpack_correct(artifact.correct)
    outputs = predict(outcome.files[artifact.sha256], test.images)
    np.testing.assert_array_equal(correct, outputs.argmax(axis=1) == test.labels)
    assert artifact.accuracy == correct.mean()
    assert 0.5 < correct.mean() < 1


def test_its_probe_holds_the_images_it_is_surest_of_and_its_interpreters_outputs(
    outcome: TrialOutcome,
) -> None:
    test = data.load("digits").test
    (artifact,) = outcome.artifacts
    probe = load_probe(outcome.probes[artifact.sha256])
    file = outcome.files[artifact.sha256]
    (images,), (outputs,) = probe.inputs, probe.outputs
    assert images.shape == (8, *test.images.shape[1:])
    np.testing.assert_array_equal(images, test.images[select_surest(predict(file, test.images))])
    np.testing.assert_array_equal(outputs, predict(file, images))


def test_an_artifact_that_is_another_network_is_refused(outcome: TrialOutcome) -> None:
    test = data.load("digits").test
    (file,) = outcome.files.values()
    different = np.roll(predict(file, test.images), 1, axis=1)
    with pytest.raises(TrialFailed, match="limit: 97%") as refused:
        evaluate(
            file, test.images, labels=test.labels, expected=different, threads=1, min_agreement=0.97
        )
    assert refused.value.reason is Reason.DISAGREEMENT
