"""The answers of this machine that a device's are compared with, for inputs of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bench.answers import Probe, save_probe
from harness.core.bench import PROTOCOLS, Case, ModelInput, Tool
from harness.core.errors import CaseFailed
from harness.fleet.answer_check import AnswerChecker, ReferenceAnswers
from harness.store.files.artifacts import ArtifactFiles

TOOL = Tool("python_runner", "1" * 64)
KEY = ("a" * 64, "pi4", TOOL)
CHOSEN = (ModelInput("words", (1, 12), low=0, high=99),)

Reference = Callable[..., Any]
MODEL = Path(__file__).parents[1] / "data" / "models" / "float_64.tflite"


def convert(function: Callable[..., Any], spec: Any) -> bytes:
    from harness.models.keras import tf

    specs = spec if isinstance(spec, list) else [spec]
    concrete = tf.function(function).get_concrete_function(*specs)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


@pytest.fixture
def answer(tmp_path: Path) -> Reference:
    """Return a function that answers a model's probe."""
    files = ArtifactFiles(tmp_path)
    references = ReferenceAnswers(files)

    def load(function: Callable[..., Any], spec: Any, *inputs: ModelInput) -> Any:
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
    (images,), (outputs,) = probe.inputs, probe.outputs
    assert np.allclose(outputs, images.reshape(len(images), -1)[:, :1] * 3 + [0, 1, 2])


@pytest.mark.full
def test_an_input_that_was_chosen_is_answered_in_its_range(answer: Reference) -> None:
    from harness.models.keras import tf

    table = tf.range(100.0)
    probe = answer(
        lambda words: tf.gather(table, words),
        tf.TensorSpec((2, 5), tf.int64, name="words"),
        ModelInput("words", (2, 5), low=90, high=99),
    )
    (words,), (outputs,) = probe.inputs, probe.outputs
    assert words.shape[1:] == (2, 5)
    assert 90 <= words.min() <= words.max() <= 99
    assert np.array_equal(outputs, words.reshape(len(words), 10))


@pytest.mark.full
def test_every_input_is_fed_and_every_output_is_kept(answer: Reference) -> None:
    from harness.models.keras import tf

    specs = [
        tf.TensorSpec((1, 4), tf.float32, name="left"),
        tf.TensorSpec((1, 4), tf.float32, name="right"),
        tf.TensorSpec((1, 4), tf.bool, name="mask"),
        tf.TensorSpec((1, 2), tf.int32, name="words"),
    ]
    probe = answer(
        lambda left, right, mask, words: (
            tf.where(mask, left - right, right),
            tf.argmax(left, axis=-1),
            words + 1,
            left > right,
        ),
        specs,
    )
    left, right, mask, words = (values.reshape(len(values), -1) for values in probe.inputs)
    assert 0 < mask.mean() < 1
    expected = {
        "float32": np.where(mask, left - right, right),
        "int64": left.argmax(axis=1)[:, None],
        "int32": words + 1,
        "bool": left > right,
    }
    assert {str(values.dtype) for values in probe.outputs} == set(expected)
    for values in probe.outputs:
        assert np.allclose(values, expected[str(values.dtype)])


@pytest.mark.full
def test_large_outputs_are_compared_for_fewer_images(answer: Reference) -> None:
    """A device prints three characters for each byte, and may not print too many."""
    from harness.models.keras import tf

    spec = tf.TensorSpec((1, 4), tf.float32)
    (outputs,) = answer(lambda image: tf.tile(image, [1, 600_000]), spec).outputs
    assert outputs.shape == (2, 2_400_000)
    with pytest.raises(CaseFailed, match=r"its outputs have 24,000,000 bytes, too many"):
        answer(lambda image: tf.tile(image, [1, 1_500_000]), spec)


@pytest.mark.full
def test_what_can_not_be_compared_says_why(answer: Reference) -> None:
    from harness.models.keras import tf

    table = tf.range(50.0)
    with pytest.raises(CaseFailed, match=r"its input \w+ is string, which can't be compared"):
        answer(
            lambda text: tf.cast(tf.equal(text, "a"), tf.float32), tf.TensorSpec((1,), tf.string)
        )
    with pytest.raises(CaseFailed, match=r"its output \w+ is float16, which can't be compared"):
        answer(lambda image: tf.cast(image, tf.float16), tf.TensorSpec((1, 4), tf.float32))
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


@pytest.mark.parametrize(("inputs", "outputs"), [((2, 8, 8), (2, 9)), ((2, 7, 8), (2, 10))])
def test_a_probe_of_another_model_is_not_compared(
    tmp_path: Path, inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """The model takes 8x8 images of 10 classes."""
    files = ArtifactFiles(tmp_path)
    artifact = files.save(MODEL.read_bytes())
    probe = Probe((np.zeros(inputs, np.float32),), (np.zeros(outputs, np.float32),))
    files.save_probe(artifact, save_probe(probe))
    case = Case(artifact, "pi4", tool=TOOL, protocol=PROTOCOLS["quick"])
    no_session: Any = None
    checker = AnswerChecker(ReferenceAnswers(files), {})
    check = checker.check(case, no_session, file=files.verify)
    assert check.classes_agree is None
    assert "its probe does not fit it" in check.message
