"""Models that keep something from one run to the next, and their answers."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bench.answers import Probe
from harness.conversion.anatomy import has_state
from harness.core.errors import CaseFailed
from harness.core.ids import sha256_of
from harness.fleet.answer_check import ReferenceAnswers
from harness.store.files.artifacts import ArtifactFiles


def convert(answer: Callable[[Any, Any], Any]) -> bytes:
    """Convert a function of an image (1, 4) and of a variable (4,), which starts as zeros."""
    from harness.models.keras import tf

    class Network(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
        def __init__(self) -> None:
            super().__init__()
            self.memory = tf.Variable(tf.zeros(4))

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, image: Any) -> Any:
            return answer(image, self.memory)

    network = Network()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.__call__.get_concrete_function()], network
    )
    converter.experimental_enable_resource_variables = True
    return bytes(converter.convert())


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    from harness.models.keras import tf

    return {
        "plain": convert(lambda image, _memory: tf.nn.softmax(image * 2.0)),
        "remembering": convert(lambda image, memory: memory.assign_add(image[0])[None]),
        "random": convert(
            lambda image, _memory: image + tf.raw_ops.RandomUniform(shape=(1, 4), dtype=tf.float32)
        ),
        "undefined": convert(lambda image, _memory: tf.math.log(-tf.abs(image))),
    }


@pytest.fixture
def references(tmp_path: Path, models: dict[str, bytes]) -> ReferenceAnswers:
    files = ArtifactFiles(tmp_path)
    for content in models.values():
        files.save(content)
    return ReferenceAnswers(files)


@pytest.mark.full
def test_a_model_with_variables_or_random_numbers_has_a_state(models: dict[str, bytes]) -> None:
    assert {name: has_state(content) for name, content in models.items()} == {
        "plain": False,
        "remembering": True,
        "random": True,
        "undefined": False,
    }


@pytest.mark.full
def test_each_answer_is_that_of_a_fresh_interpreter(
    references: ReferenceAnswers, models: dict[str, bytes]
) -> None:
    probe = references.load_probe(sha256_of(models["remembering"]))
    assert_first_answers(probe)


@pytest.mark.full
def test_answers_of_an_earlier_version_are_replaced_and_its_images_are_kept(
    references: ReferenceAnswers, models: dict[str, bytes], tmp_path: Path
) -> None:
    """It gave all images to one interpreter, which remembered their sum."""
    images = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    file = io.BytesIO()
    np.savez_compressed(file, inputs=images, outputs=images[:, 0].cumsum(axis=0))
    artifact = sha256_of(models["remembering"])
    ArtifactFiles(tmp_path).save_probe(artifact, file.getvalue())
    for _ in range(2):
        probe = references.load_probe(artifact)
        assert sorted(probe.inputs[0].ravel()) == list(range(12))
        assert_first_answers(probe)


def assert_first_answers(probe: Probe) -> None:
    """The model answers its first image with the same values."""
    (images,), (outputs,) = probe.inputs, probe.outputs
    assert np.allclose(outputs, images.reshape(len(images), -1))


@pytest.mark.full
def test_answers_that_are_no_numbers_are_kept(
    references: ReferenceAnswers, models: dict[str, bytes]
) -> None:
    (outputs,) = references.load_probe(sha256_of(models["undefined"])).outputs
    assert np.isnan(outputs).all()


@pytest.mark.full
def test_a_model_that_answers_at_random_can_not_be_compared(
    references: ReferenceAnswers, models: dict[str, bytes]
) -> None:
    with pytest.raises(CaseFailed, match="its answers differ from run to run"):
        references.load_probe(sha256_of(models["random"]))
