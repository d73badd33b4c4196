"""The check of a device's answers: a few images, and the outputs of this machine's interpreter.

A wrong kernel, a broken compiler flag or a flipped bit can be as fast as the right one.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from harness.bench.tools import double_colons
from harness.core.errors import CaseFailed, Reason

if TYPE_CHECKING:
    from harness.conversion.anatomy import Tensor

Values = NDArray[np.float32]
_SINGLE_RUN = (
    "--num_runs=1",
    "--min_secs=0",
    "--warmup_runs=0",
    "--warmup_min_secs=0",
    "--num_threads=1",
)
# A share of the outputs' range: kernels differ in the order of sums, and in rounding.
_TOLERANCE = 0.01
_MIN_TOLERANCE = 1e-3
_TIE_TOLERANCE = 1e-3
# The errors that numpy and zipfile raise for damaged bytes.
_DAMAGE_ERRORS = (
    BadZipFile,
    zlib.error,
    *(LookupError, OSError, EOFError, RuntimeError, MemoryError, TypeError, ValueError),
)

# sh -c SCRIPT sh FOLDER PIECES BYTES IMAGES TOOL...: run the tool on each piece of IMAGES, BYTES
# long, and print its outputs in hexadecimal. FOLDER is made and removed. A tool that writes no file
# does not support it.
_SCRIPT = """\
folder=$1 pieces=$2 bytes=$3 images=$4
shift 4
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf "$folder" && mkdir "$folder" || exit
piece=0
while [ "$piece" -lt "$pieces" ]; do
    dd if="$images" of="$folder/input" bs="$bytes" skip="$piece" count=1 || exit
    "$@" >&2 || exit
    [ -f "$folder/output" ] || exit 0
    od -An -v -tx1 "$folder/output" || exit
    rm "$folder/output"
    piece=$((piece + 1))
done
"""


@dataclass(frozen=True, eq=False)
class Probe:
    """Images and the outputs of this machine's interpreter.

    The shape of `inputs` is (n, *the shape of one image), that of `outputs` is (n, k).
    """

    inputs: Values
    outputs: Values


@dataclass(frozen=True)
class Agreement:
    """The agreement of a tool's answers to `images` images with those of this machine.

    `largest_difference` is None if some outputs are not finite on one side only.
    """

    images: int
    largest_difference: float | None
    classes_agree: bool


def save_probe(probe: Probe) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, inputs=probe.inputs, outputs=probe.outputs)
    return file.getvalue()


def load_probe(content: bytes) -> Probe:
    """Load a saved probe. Raises ValueError if the bytes are damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Probe(arrays["inputs"], arrays["outputs"])
    except _DAMAGE_ERRORS as error:
        raise ValueError("is damaged") from error


def select_surest(outputs: NDArray[Any], count: int = 8) -> NDArray[np.intp]:
    """Return the indices of the images that the model is surest of, given `outputs` (n, k).

    The model is surest of an image if its two best classes are furthest apart. The surest image of
    each class comes first, then the second of each, and so on. So a tool that always predicts one
    class is caught. Models with a single output get the first images.

    Rounding flips a binarized sum next to 0 on a rare image. Under 1 % of the images change class
    although both answers are right (see `conversion/evaluate.py`), and the surest are not among
    them.
    """
    if outputs.shape[1] == 1:
        return np.arange(min(count, len(outputs)))
    second, best = np.partition(outputs.astype(np.float64), -2, axis=1)[:, -2:].T
    with np.errstate(invalid="ignore"):  # two infinite values have no difference: they come last
        order = np.argsort(second - best, kind="stable")
    classes = outputs.argmax(axis=1)[order]
    ranks_in_class = [
        int(np.sum(classes[:position] == label)) for position, label in enumerate(classes)
    ]
    return order[np.argsort(ranks_in_class, kind="stable")][:count]


def make_random_inputs(
    tensor: "Tensor", count: int, bounds: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return inputs of shape (count, *the shape of one) for a model without test images.

    A batch of 1 is left out of the shape of one. They are the same in every call, and within
    `bounds`, both included. Without bounds, floats are uniform from -1 to 1, integers from 0 to
    126, as the tool's own.
    """
    random = np.random.default_rng(0)
    shape = (count, *(tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape))
    if np.dtype(tensor.dtype).kind == "f":
        low, high = bounds or (-1, 1)
        return random.uniform(low, high, shape).astype(tensor.dtype)
    low, high = bounds or (0, 126)
    return random.integers(low, high + 1, shape).astype(tensor.dtype)


def make_flags(tensor: "Tensor", input_file: str, output_file: str) -> list[str]:
    """Return the tool's flags for one inference.

    It reads the raw values of the input `tensor` from one file and writes its outputs to another.
    """
    return [
        f"--input_layer={tensor.name}",
        f"--input_layer_shape={','.join(map(str, tensor.shape))}",
        f"--input_layer_value_files={double_colons(tensor.name)}:{double_colons(input_file)}",
        f"--output_filepath={output_file}",
        *_SINGLE_RUN,
    ]


def build_argv(
    program: Sequence[str],
    graph: str,
    tensor: "Tensor",
    images: str,
    count: int,
    folder: str,
    *,
    in_one_process: bool = False,
) -> list[str]:
    """Return the argv with which a device's tool answers images, and prints outputs.

    `images` is a file with the raw values of `count` images, one after the other; `read_outputs`
    reads the output. `folder` is made, and removed at the end with everything in it. Paths are the
    device's, without commas. `in_one_process` gives all images to one process, which only the
    Python runner supports. The exit code is the tool's, and its own output goes to standard error.
    """
    size = np.dtype(tensor.dtype).itemsize * int(np.prod(tensor.shape))
    pieces, size = (1, count * size) if in_one_process else (count, size)
    argv = [
        *program,
        f"--graph={graph}",
        *make_flags(tensor, f"{folder}/input", output_file=f"{folder}/output"),
    ]
    return ["sh", "-c", _SCRIPT, "sh", folder, str(pieces), str(size), images, *argv]


def read_outputs(stdout: str, count: int, classes: int) -> Values | None:
    """Return the printed outputs, of shape (count, classes).

    The result is None if the tool wrote no outputs: older versions cannot. Raises CaseFailed with
    the reason unparsable if some outputs are missing.
    """
    if not stdout.strip():
        return None
    try:
        values = np.frombuffer(bytes.fromhex(stdout), "<f4")
        return values.reshape(count, classes).astype(np.float32)
    except ValueError as error:
        message = f"The tool did not write {count} × {classes} outputs; bench with --check-answers."
        raise CaseFailed(Reason.UNPARSABLE, message, log=stdout) from error


def compare_outputs(
    expected: NDArray[Any], actual: NDArray[Any], widths: Sequence[int]
) -> Agreement:
    """Compare outputs of shape (n, k): each image's outputs, of these widths, side by side.

    Values that are infinite or no number have to be so on both sides. An output of several values
    agrees if its largest value is at the same place. It agrees, too, if the two places are a tie:
    on both sides, their values differ by 0.1 % at most. A single value agrees if it is within 1 %
    of the range of those expected.
    """
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return Agreement(len(expected), None, classes_agree=False)
    if not np.isfinite(actual[finite]).all():
        return Agreement(len(expected), None, classes_agree=False)
    # The difference of two large 32-bit floats may be infinite in 32 bits.
    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    difference = np.abs(expected[finite] - actual[finite]).max(initial=0.0)
    bounds = np.cumsum(widths)[:-1]
    sides = (np.split(side, bounds, axis=1) for side in (expected, actual))
    agree = all(_agree(*output) for output in zip(*sides, strict=True))
    return Agreement(len(expected), float(difference), classes_agree=agree)


def _agree(expected: NDArray[Any], actual: NDArray[Any]) -> bool:
    """Return whether one output, of shape (n, width), agrees for all images.

    Both sides are finite at the same places, and have the same values elsewhere.
    """
    finite = np.isfinite(expected)
    if not finite.any():
        return True
    if expected.shape[1] == 1:
        tolerance = max(_TOLERANCE * float(np.ptp(expected[finite])), _MIN_TOLERANCE)
        return bool((np.abs(expected[finite] - actual[finite]) <= tolerance).all())
    # A value that is no number is never the largest (0 would be, among negative scores), and an
    # infinite one is larger than all others.
    values = np.concatenate([expected[finite], actual[finite]])
    low, high = values.min(), 2 * values.max() - values.min() + 1
    expected, actual = (
        np.nan_to_num(side, nan=low, posinf=high, neginf=low) for side in (expected, actual)
    )
    places = actual.argmax(axis=1)[:, None]
    expected_places = expected.argmax(axis=1)[:, None]
    return all(_is_tie(side, expected_places, places) for side in (expected, actual))


def _is_tie(values: NDArray[Any], places: NDArray[Any], others: NDArray[Any]) -> bool:
    """Return whether the values (n, width) at two places (n, 1) differ by rounding at most."""
    first, second = (np.take_along_axis(values, indices, 1) for indices in (places, others))
    return bool(np.isclose(first, second, rtol=_TIE_TOLERANCE, atol=0).all())
