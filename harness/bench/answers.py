"""The check of a device's answers: a few images, and the outputs of this machine's interpreter.

A wrong kernel, a broken compiler flag or a flipped bit can be as fast as the right one.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from harness.bench.runner import INDEX_RANGE, INTEGER_RANGES
from harness.bench.tools import double_colons, format_shapes
from harness.core.errors import CaseFailed, Reason

if TYPE_CHECKING:
    from harness.conversion.anatomy import Tensor

Values = NDArray[Any]
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
_STEPS = 2  # of a quantized output: each of two values is rounded to the next step
# Shares of an output's whole numbers. Rounding may change the first; not more than the second.
_ROUNDED_SHARE = 0.01
_WRONG_SHARE = 0.25
# The errors that numpy and zipfile raise for damaged bytes.
_DAMAGE_ERRORS = (
    BadZipFile,
    zlib.error,
    *(LookupError, OSError, EOFError, RuntimeError, MemoryError, TypeError, ValueError),
)

# sh -c SCRIPT sh FOLDER PIECES INPUTS [BYTES FILE]... TOOL...: run the tool on each piece of the
# FILE of each input, BYTES long, and print its outputs in hexadecimal. FOLDER is made and removed.
# A tool that writes no file does not support it.
_SCRIPT = """\
folder=$1 pieces=$2 inputs=$3
shift 3
answer() {
    input=0
    while [ "$input" -lt "$inputs" ]; do
        dd if="$2" of="$folder/input$input" bs="$1" skip="$piece" count=1 || exit
        shift 2
        input=$((input + 1))
    done
    "$@" >&2 || exit
}
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf "$folder" && mkdir "$folder" || exit
piece=0
while [ "$piece" -lt "$pieces" ]; do
    answer "$@"
    [ -f "$folder/output" ] || exit 0
    od -An -v -tx1 "$folder/output" || exit
    rm "$folder/output"
    piece=$((piece + 1))
done
"""


@dataclass(frozen=True, eq=False)
class Probe:
    """Images and the outputs of this machine's interpreter.

    Each of the model's inputs has an array (n, *the shape of one image), and each of its outputs
    one (n, k). There are no `outputs` if they are still to be computed.
    """

    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...] = ()

    def select(self, rows: NDArray[np.intp]) -> "Probe":
        """Return these images with their outputs."""
        inputs = tuple(values[rows] for values in self.inputs)
        return Probe(inputs, tuple(values[rows] for values in self.outputs))


@dataclass(frozen=True)
class Agreement:
    """The agreement of a tool's answers to `images` images with those of this machine.

    `largest_difference` is None if some outputs are not finite on one side only. `classes_agree` is
    None if whole numbers differ that rounding may have changed.
    """

    images: int
    largest_difference: float | None
    classes_agree: bool | None


def save_probe(probe: Probe) -> bytes:
    file = io.BytesIO()
    arrays = {f"input_{number}": values for number, values in enumerate(probe.inputs)}
    arrays |= {f"output_{number}": values for number, values in enumerate(probe.outputs)}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def load_probe(content: bytes) -> Probe:
    """Load a saved probe. Raises ValueError if the bytes are damaged.

    Earlier versions gave all images to one interpreter, which may have remembered some. So only the
    images of their probes are used.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if "inputs" in arrays:
                return Probe((arrays["inputs"],))
            probe = Probe(_load_arrays(arrays, "input"), _load_arrays(arrays, "output"))
    except _DAMAGE_ERRORS as error:
        raise ValueError("is damaged") from error
    if not probe.inputs or len({len(values) for values in (*probe.inputs, *probe.outputs)}) > 1:
        raise ValueError("is damaged")
    return probe


def _load_arrays(arrays: Any, name: str) -> tuple[Values, ...]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return tuple(arrays[f"{name}_{number}"] for number in range(count))


def select_surest(outputs: NDArray[Any], count: int = 8) -> NDArray[np.intp]:
    """Return the indices of the images that the model is surest of, given `outputs` (n, k).

    The model is surest of an image if its two best classes are furthest apart. The surest image of
    each class comes first, then the second of each, and so on. So a tool that always predicts one
    class is caught. Outputs of a single value give the first images.

    Rounding flips a binarized sum next to 0 on a rare image. Under 1 % of the images change class
    although both answers are right (see `conversion/evaluate.py`), and the surest are not among
    them.
    """
    if outputs.shape[1] < 2:
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
    tensor: "Tensor", count: int, bounds: tuple[int, int] | None = None, seed: int = 0
) -> Values:
    """Return inputs of shape (count, *the shape of one) for a model without test images.

    A batch of 1 is left out of the shape of one. They are the same in every call with this `seed`,
    and within `bounds`, both included. Without bounds, floats are uniform from -1 to 1, and
    integers are in the tool's own range.
    """
    random = np.random.default_rng(seed)
    shape = (count, *(tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape))
    if np.dtype(tensor.dtype).kind == "f":
        low, high = bounds or (-1, 1)
        return random.uniform(low, high, shape).astype(tensor.dtype)
    low, high = bounds or INTEGER_RANGES.get(tensor.dtype, INDEX_RANGE)
    return random.integers(low, high + 1, shape).astype(tensor.dtype)


def make_flags(tensors: Sequence["Tensor"], files: Sequence[str], output_file: str) -> list[str]:
    """Return the tool's flags for one inference.

    It reads the raw values of the inputs `tensors` from `files`, and writes its outputs to another.
    """
    names = _name_inputs(tensors)
    values = (
        f"{double_colons(name)}:{double_colons(file)}"
        for name, file in zip(names, files, strict=True)
    )
    return [
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={format_shapes([tensor.shape for tensor in tensors])}",
        f"--input_layer_value_files={','.join(values)}",
        f"--output_filepath={output_file}",
        *_SINGLE_RUN,
    ]


def _name_inputs(tensors: Sequence["Tensor"]) -> list[str]:
    """Return the inputs' own names, or others if these can't stand in a flag side by side.

    Old versions of the tool refuse other names; newer ones take them in the model's order.
    """
    names = [tensor.name for tensor in tensors]
    if all(names) and len(set(names)) == len(names) and "," not in "".join(names):
        return names
    return [f"input{number}" for number in range(len(names))]


def build_argv(
    program: Sequence[str],
    graph: str,
    tensors: Sequence["Tensor"],
    files: Sequence[str],
    count: int,
    folder: str,
    *,
    in_one_process: bool = False,
) -> list[str]:
    """Return the argv with which a device's tool answers images, and prints outputs.

    Each of `files` has the raw values of one input for `count` images, one after the other;
    `read_outputs` reads the output. `folder` is made, and removed at the end with everything in it.
    Paths are the device's, without commas. `in_one_process` gives all images to one process, which
    only the Python runner supports. The exit code is the tool's, and its own output goes to
    standard error.
    """
    pieces, at_once = (1, count) if in_one_process else (count, 1)
    inputs: list[str] = []
    for tensor, file in zip(tensors, files, strict=True):
        inputs += [str(at_once * count_bytes([tensor])), file]
    pieces_of_inputs = [f"{folder}/input{number}" for number in range(len(tensors))]
    return [
        *("sh", "-c", _SCRIPT, "sh", folder, str(pieces), str(len(tensors)), *inputs),
        *program,
        f"--graph={graph}",
        *make_flags(tensors, pieces_of_inputs, output_file=f"{folder}/output"),
    ]


def count_bytes(tensors: Sequence["Tensor"]) -> int:
    return sum(np.dtype(tensor.dtype).itemsize * prod(tensor.shape) for tensor in tensors)


def read_outputs(stdout: str, count: int, tensors: Sequence["Tensor"]) -> tuple[Values, ...] | None:
    """Return the printed values of each of the outputs `tensors`, of shape (count, k).

    The result is None if the tool wrote no outputs: older versions cannot. Raises CaseFailed with
    the reason unparsable if some outputs are missing.
    """
    if not stdout.strip():
        return None
    try:
        return split_outputs(bytes.fromhex(stdout), count, tensors=tensors)
    except ValueError as error:
        values = sum(prod(tensor.shape) for tensor in tensors)
        message = f"The tool did not write {count} × {values} outputs; bench with --check-answers."
        raise CaseFailed(Reason.UNPARSABLE, message, log=stdout) from error


def split_outputs(content: bytes, count: int, tensors: Sequence["Tensor"]) -> tuple[Values, ...]:
    """Return the values of each output, of shape (count, k), in raw bytes: image after image.

    Raises ValueError if there are more or fewer.
    """
    sizes = [count_bytes([tensor]) for tensor in tensors]
    rows = np.frombuffer(content, np.uint8).reshape(count, sum(sizes))
    columns = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    return tuple(
        column.copy().view(np.dtype(tensor.dtype).newbyteorder("<")).astype(tensor.dtype)
        for column, tensor in zip(columns, tensors, strict=True)
    )


def compare_outputs(
    expected: Sequence[Values], actual: Sequence[Values], tensors: Sequence["Tensor"]
) -> Agreement:
    """Compare the outputs `tensors` of n images: the values of each are (n, k).

    Infinite values and NaN must be the same on both sides. An output of several values
    agrees if its largest value is at the same place, or if the two places are a tie. In a tie,
    their values differ by 0.1 % at most on both sides, or by two steps if they are quantized. A
    single value agrees if it is within 1 % of the range of those expected, or two steps.

    Other whole numbers and truth values, such as the index of a class, are equal or not. An output
    of these agrees if 1 % of them differ at most, and is wrong if over a quarter do. In between,
    it is unknown, as rounding may have changed what they were computed from.
    """
    verdicts = []
    differences = []
    for values, others, tensor in zip(expected, actual, tensors, strict=True):
        difference = _find_difference(values, others)
        differences.append(difference)
        verdicts.append(difference is not None and _judge(values, others, tensor=tensor))
    known_differences = [difference for difference in differences if difference is not None]
    return Agreement(
        len(expected[0]),
        max(known_differences) if len(known_differences) == len(differences) else None,
        classes_agree=False if False in verdicts else None if None in verdicts else True,
    )


def _find_difference(expected: Values, actual: Values) -> float | None:
    """Return the largest difference; None if some values are not finite on one side only."""
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return None
    if not np.isfinite(actual[finite]).all():
        return None
    expected, actual = _widen(expected), _widen(actual)
    return float(np.abs(expected[finite] - actual[finite]).max(initial=0.0))


def _widen(values: Values) -> NDArray[np.float64]:
    """Return values whose differences neither overflow nor wrap around."""
    return values.astype(np.float64)


def _judge(expected: Values, actual: Values, tensor: "Tensor") -> bool | None:
    """Return whether one output agrees for all images; None if that is unknown."""
    if expected.dtype.kind in "biu" and not tensor.is_quantized:
        share = float(np.mean(expected != actual)) if expected.size else 0.0
        return True if share <= _ROUNDED_SHARE else False if share > _WRONG_SHARE else None
    steps = _STEPS if tensor.is_quantized else 0
    return _agree(_widen(expected), _widen(actual), steps=steps)


def _agree(expected: Values, actual: Values, steps: int) -> bool:
    """Return whether one output, of shape (n, k), agrees for all images.

    Both sides are finite at the same places, and have the same values elsewhere. Rounding may
    change a value by so many whole `steps`.
    """
    finite = np.isfinite(expected)
    if not finite.any():
        return True
    if expected.shape[1] == 1:
        tolerance = max(_TOLERANCE * float(np.ptp(expected[finite])), _MIN_TOLERANCE, steps)
        return bool((np.abs(expected[finite] - actual[finite]) <= tolerance).all())
    # A NaN is never the largest value (0 would be, among negative scores). An infinite value is
    # larger than all others.
    values = np.concatenate([expected[finite], actual[finite]])
    low, high = values.min(), 2 * values.max() - values.min() + 1
    expected, actual = (
        np.nan_to_num(side, nan=low, posinf=high, neginf=low) for side in (expected, actual)
    )
    places = actual.argmax(axis=1)[:, None]
    expected_places = expected.argmax(axis=1)[:, None]
    return all(
        _is_tie(side, expected_places, others=places, steps=steps) for side in (expected, actual)
    )


def _is_tie(values: Values, places: Values, others: Values, steps: int) -> bool:
    """Return whether the values (n, k) at two places (n, 1) differ by rounding at most."""
    first, second = (np.take_along_axis(values, indices, 1) for indices in (places, others))
    return bool(np.isclose(first, second, rtol=_TIE_TOLERANCE, atol=steps).all())
