"""The answers of this machine that a device's are compared with, for inputs of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.bench import PROTOCOLS, Case, ModelInput, Tool
from harness.core.errors import CaseFailed
from harness.fleet.answer_check import AnswerChecker, ReferenceAnswers
from harness.store.files.artifacts import ArtifactFiles

TOOL = Tool("python_runner", "1" * 64)
KEY = ("a" * 64, "pi4", TOOL)
CHOSEN = (ModelInput("words", (1, 12), low=0, high=99),)

Reference = Callable[..., Any]


def convert(function: Callable[[Any], Any], spec: Any) -> bytes:
    from harness.models.keras import tf

    concrete = tf.function(function).get_concrete_function(spec)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


@pytest.fixture
def answer(tmp_path: Path) -> Reference:
    """Return a function that answers a model's probe."""
    files = ArtifactFiles(tmp_path)
    references = ReferenceAnswers(files)

    def load(function: Callable[[Any], Any], spec: Any, *inputs: ModelInput) -> Any:
        return references.load_probe(files.save(convert(function, spec)), inputs)

    return load


@pytest.mark.full
@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (8, 3, 2)])
def test_an_input_of_any_rank_and_batch_is_answered(
    answer: Reference, shape: tuple[int, ...]
) -> None:
    from harness.models.keras import tf

    probe = answer(
        lambda image: tf.add(tf.reshape(image * 3.0, [-1])[:1], [0.0, 1.0, 2.0]),
        tf.TensorSpec(shape, tf.float32, name="image"),
    )
    firsts = probe.inputs.reshape(len(probe.inputs), -1)[:, :1]
    assert np.allclose(probe.outputs, firsts * 3 + [0, 1, 2])


@pytest.mark.full
def test_an_input_that_was_chosen_is_answered_in_its_range(answer: Reference) -> None:
    from harness.models.keras import tf

    table = tf.range(100.0)
    probe = answer(
        lambda words: tf.gather(table, words),
        tf.TensorSpec((2, 5), tf.int64, name="words"),
        ModelInput("words", (2, 5), low=90, high=99),
    )
    assert probe.inputs.shape[1:] == (2, 5)
    assert 90 <= probe.inputs.min() <= probe.inputs.max() <= 99
    assert np.array_equal(probe.outputs, probe.inputs.reshape(len(probe.inputs), 10))


@pytest.mark.full
def test_what_can_not_be_compared_says_why(answer: Reference) -> None:
    from harness.models.keras import tf

    table = tf.range(100.0)
    with pytest.raises(CaseFailed, match="its input is string, not numbers"):
        answer(
            lambda text: tf.cast(tf.equal(text, "a"), tf.float32), tf.TensorSpec((1,), tf.string)
        )
    with pytest.raises(CaseFailed, match="the sizes of its outputs depend on its input"):
        answer(
            lambda image: image * 2.0,
            tf.TensorSpec((None, 3), tf.float32, name="image"),
            ModelInput("image", (2, 3)),
        )
    with pytest.raises(CaseFailed, match=r"failed \(gather index out of bounds\)"):
        answer(lambda words: tf.gather(table, words), tf.TensorSpec((1, 12), tf.int32))


@pytest.mark.parametrize(
    ("verdict", "inputs", "times"),
    [(True, CHOSEN, 0), (False, CHOSEN, 1), (None, CHOSEN, 1), (None, (), 0), (False, (), 1)],
)
def test_chosen_inputs_are_checked_where_the_tools_own_could_not_be(
    tmp_path: Path, *, verdict: bool | None, inputs: tuple[ModelInput, ...], times: int
) -> None:
    checker = AnswerChecker(ReferenceAnswers(ArtifactFiles(tmp_path)), {KEY: verdict})
    case = Case(*KEY[:2], tool=TOOL, protocol=PROTOCOLS["quick"], inputs=inputs)
    assert checker.is_due(case) == bool(times)
