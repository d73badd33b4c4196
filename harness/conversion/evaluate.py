"""Evaluation of an artifact on the test set, and against the trained model."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Probabilities = NDArray[np.float32]
    Images = NDArray[np.float32]
    Labels = NDArray[np.int64]

# Artifact and trained model round differently, so a sum close to 0 may binarize to the other sign.
# On Fashion-MNIST this changes the class of under 1 % of the images; int8 rounds more coarsely.
# A wrong conversion changes the class of most images.
MIN_AGREEMENT = {Precision.FLOAT32: 0.97, Precision.INT8: 0.9, Precision.BINARY: 0.97}
_COUNT = struct.Struct(">I")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An artifact's results on n test images: `outputs` (n, classes) and `correct` (n,).

    `correct` tells which images were classified correctly.
    `agreement` is the share of images, 0 to 1, that get the same class from the trained model.
    """

    outputs: "Probabilities"
    correct: "NDArray[np.bool_]"
    agreement: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def evaluate(
    flatbuffer: bytes,
    images: "Images",
    labels: "Labels",
    expected: "Probabilities",
    threads: int,
    min_agreement: float,
) -> Evaluation:
    """Run the artifact on the images, and compare its classes with those of `expected`.

    `expected` (n, classes) comes from the trained model.
    Raises TrialFailed if the two agree on less than the share `min_agreement`.
    """
    outputs = predict(flatbuffer, images, threads=threads)
    classes = outputs.argmax(axis=1)
    agreement = float(np.mean(classes == expected.argmax(axis=1)))
    if agreement < min_agreement:
        raise TrialFailed(
            Reason.DISAGREEMENT,
            f"The artifact and the trained model agree on only {agreement:.1%} of the test images "
            f"(limit: {min_agreement:.0%}); compare the deployed graph with the trained one.",
        )
    return Evaluation(outputs, classes == labels, agreement=agreement)


def pack_correct(correct: "NDArray[np.bool_]") -> bytes:
    """Pack `correct` (n,) into the bytes that `Artifact.correct` stores."""
    return _COUNT.pack(len(correct)) + np.packbits(correct).tobytes()


def unpack_correct(packed: bytes) -> "NDArray[np.bool_]":
    """Return the array (n,) that was passed to `pack_correct`."""
    (count,) = _COUNT.unpack_from(packed)
    return np.unpackbits(np.frombuffer(packed, np.uint8, offset=_COUNT.size), count=count).astype(
        bool
    )


def predict(flatbuffer: bytes, images: "Images", threads: int = 1) -> "Probabilities":
    """Return the outputs (n, classes) of LCE's interpreter.

    Images run one at a time, because the artifact's batch is 1.
    """
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter = Interpreter(flatbuffer, num_threads=threads, use_xnnpack=True)
    # View as numpy's own float32: the interpreter refuses the equal dtype of an array that came
    # from another process.
    return np.asarray(interpreter.predict(images.view(np.float32)))
