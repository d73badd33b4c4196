"""Whether a device's tool gives the right answers: a few images, and what the interpreter here says to them.

A wrong kernel, a broken compiler flag or a flipped bit can be as fast as the right one.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import CaseFailed, Reason

if TYPE_CHECKING:
    from harness.conversion.anatomy import Tensor

Values = NDArray[np.float32]
_ONCE = (
    "--num_runs=1",
    "--min_secs=0",
    "--warmup_runs=0",
    "--warmup_min_secs=0",
    "--num_threads=1",
)
_ONE_OUTPUT_TOLERANCE = (
    0.01  # of the outputs' range: kernels sum in other orders, and round otherwise
)
_LEAST_TOLERANCE = 1e-3
# What numpy and zipfile raise at bytes that are damaged.
_BROKEN = (
    BadZipFile,
    zlib.error,
    *(LookupError, OSError, EOFError, RuntimeError, MemoryError, TypeError, ValueError),
)

# sh -c SCRIPT sh FOLDER PIECES BYTES IMAGES TOOL...: the tool runs on each piece of IMAGES, BYTES long, and what it
# wrote is printed in hexadecimal. FOLDER is made and removed. A tool that wrote nothing does not know how.
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
    """`inputs` (n, *the shape of one image), and what the interpreter here answers: `outputs` (n, k)."""

    inputs: Values
    outputs: Values


@dataclass(frozen=True)
class Agreement:
    """Of a tool's answers to `images` with those from here."""

    images: int
    largest_difference: float
    classes_agree: bool


def save_probe(probe: Probe) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, inputs=probe.inputs, outputs=probe.outputs)
    return file.getvalue()


def load_probe(content: bytes) -> Probe:
    """Raises ValueError where the bytes are no saved probe."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Probe(arrays["inputs"], arrays["outputs"])
    except _BROKEN as error:
        raise ValueError("is no saved probe") from error


def surest(outputs: NDArray[Any], count: int = 8) -> NDArray[np.intp]:
    """Of `outputs` (n, k), the indices of the images whose two best classes are furthest apart, class by class.

    First the surest of each class, so that a tool that always names one class is found out, then the second, and so on.
    Rounding flips a binarized sum next to 0 on a rare image: under 1 % of them change class though both answers are
    right (see `conversion/evaluate.py`), and those are not among the surest. Of a single output, the first images.
    """
    if outputs.shape[1] == 1:
        return np.arange(min(count, len(outputs)))
    second, best = np.partition(outputs.astype(np.float64), -2, axis=1)[:, -2:].T
    order = np.argsort(second - best, kind="stable")
    classes = outputs.argmax(axis=1)[order]
    rank = [int(np.sum(classes[:at] == one)) for at, one in enumerate(classes)]  # within its class
    return order[np.argsort(rank, kind="stable")][:count]


def random_inputs(tensor: "Tensor", count: int) -> NDArray[Any]:
    """(count, *the shape of one) for a model that comes without test images, the same at every call.

    Floats are uniform in -1 to 1, whole numbers in 0 to 126 as the tool's own.
    """
    random = np.random.default_rng(0)
    shape = (count, *tensor.shape[1:])
    if np.dtype(tensor.dtype).kind == "f":
        return random.uniform(-1, 1, shape).astype(tensor.dtype)
    return random.integers(0, 127, shape).astype(tensor.dtype)


def flags(input: "Tensor", file: str, output_file: str) -> list[str]:
    """The tool's flags for one inference: raw values of `input` from one file, those of the outputs to another."""
    return [
        f"--input_layer={input.name}",
        f"--input_layer_shape={','.join(map(str, input.shape))}",
        f"--input_layer_value_files={_escaped(input.name)}:{_escaped(file)}",
        f"--output_filepath={output_file}",
        *_ONCE,
    ]


def _escaped(name: str) -> str:
    return name.replace(":", "::")


def script(
    program: Sequence[str],
    graph: str,
    input: "Tensor",
    images: str,
    count: int,
    folder: str,
    *,
    at_once: bool = False,
) -> list[str]:
    """The argv that has the tool answer `count` images on a device, and prints its outputs for `read_outputs`.

    `images` is a file of their raw values one after the other; `folder` is made, and removed at the end, with whatever
    was in it. Paths are as the device sees them, without commas. `at_once` gives all images to one process, which only
    the Python runner takes. The exit code is the tool's, and what it says goes to standard error.
    """
    size = np.dtype(input.dtype).itemsize * int(np.prod(input.shape))
    pieces, size = (1, count * size) if at_once else (count, size)
    argv = [
        *program,
        f"--graph={graph}",
        *flags(input, f"{folder}/input", output_file=f"{folder}/output"),
    ]
    return ["sh", "-c", _SCRIPT, "sh", folder, str(pieces), str(size), images, *argv]


def read_outputs(stdout: str, count: int, classes: int) -> Values | None:
    """(count, classes) from what the script printed; None where the tool wrote no outputs, as older ones can't.

    Raises CaseFailed: unparsable where some are missing.
    """
    if not stdout.strip():
        return None
    try:
        return (
            np.frombuffer(bytes.fromhex(stdout), "<f4").reshape(count, classes).astype(np.float32)
        )
    except ValueError as error:
        message = (
            f"The tool did not write {count} × {classes} outputs: check the model there again."
        )
        raise CaseFailed(Reason.UNPARSABLE, message, log=stdout) from error


def compare(expected: NDArray[Any], found: NDArray[Any]) -> Agreement:
    """Both (n, k). Of a single output, classes agree where it is near: within 1 % of the range of those expected."""
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return Agreement(len(expected), inf, classes_agree=False)
    largest = float(np.abs(expected - found).max(initial=0.0))
    if expected.shape[1] > 1:
        agree = bool((expected.argmax(axis=1) == found.argmax(axis=1)).all())
    else:
        agree = largest <= max(_ONE_OUTPUT_TOLERANCE * float(np.ptp(expected)), _LEAST_TOLERANCE)
    return Agreement(len(expected), largest, classes_agree=agree)
