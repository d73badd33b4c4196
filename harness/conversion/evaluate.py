"""What an artifact answers: LCE's interpreter over the test set, held against the trained model."""

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

# The two round differently, and a sum next to 0 then binarizes to the other sign; measured on Fashion-MNIST,
# that changes the class of under 1 % of the images. A wrong conversion changes most of them. Eight bits round coarser.
LEAST_AGREEMENT = {Precision.FLOAT32: 0.97, Precision.INT8: 0.9, Precision.BINARY: 0.97}
_COUNT = struct.Struct(">I")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Over n test images: `outputs` (n, classes); `correct` (n,), whether each was classed right.

    `agreement` is the share of the images, 0 to 1, on which the class is the trained model's.
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
    least: float,
) -> Evaluation:
    """What the artifact answers, and how often its class is that of `expected` (n, classes).

    Raises TrialFailed where they agree on less than the share `least`.
    """
    outputs = predict(flatbuffer, images, threads=threads)
    classes = outputs.argmax(axis=1)
    agreement = float(np.mean(classes == expected.argmax(axis=1)))
    if agreement < least:
        raise TrialFailed(
            Reason.DISAGREEMENT,
            "The artifact and the trained model name the same class on "
            f"{agreement:.1%} of the test images, under {least:.0%}: "
            "the conversion changed the network; compare the deployed graph with the trained one.",
        )
    return Evaluation(outputs, classes == labels, agreement=agreement)


def pack_correct(correct: "NDArray[np.bool_]") -> bytes:
    """As `Artifact.correct` keeps it."""
    return _COUNT.pack(len(correct)) + np.packbits(correct).tobytes()


def unpack_correct(packed: bytes) -> "NDArray[np.bool_]":
    """(n,), what `pack_correct` was given."""
    (count,) = _COUNT.unpack_from(packed)
    return np.unpackbits(np.frombuffer(packed, np.uint8, offset=_COUNT.size), count=count).astype(
        bool
    )


def predict(flatbuffer: bytes, images: "Images", threads: int = 1) -> "Probabilities":
    """(n, classes) from LCE's interpreter, one image at a time as the artifact's batch is 1."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter = Interpreter(flatbuffer, num_threads=threads, use_xnnpack=True)
    # Numpy's own float32: that of an array which came from another process is equal, and the interpreter refuses it.
    return np.asarray(interpreter.predict(images.view(np.float32)))
