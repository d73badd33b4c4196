"""The check of a device's answers against those of the interpreter on this machine.

Each combination of artifact, device and tool is checked once.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from harness.bench import answers
from harness.bench.answers import Probe
from harness.bench.tools import PYTHON_RUNNER, RUNNER_FILE, diagnose_failure, find_cause
from harness.conversion.anatomy import Tensor, read_inputs, read_outputs
from harness.core.bench import Case, ModelInput, Tool
from harness.core.errors import CaseFailed, DeviceLost, Reason
from harness.core.ids import sha256_of_file
from harness.core.observations import AnswerCheck
from harness.devices import ModelFile
from harness.fleet.process import DeviceSession, run_watched
from harness.store.database import now
from harness.store.files.artifacts import ArtifactFiles

_TIMEOUT_S = 600.0
_CANDIDATES = 64  # of which those images are used that the model is surest of
_MAX_CANDIDATE_BYTES = 64_000_000
_REPEATED = 4
_OPEN_SIZES = "the sizes of its outputs depend on its input."
Inputs = tuple[ModelInput, ...]


class ReferenceAnswers:
    """The answers of this machine's interpreter, computed once and kept beside the artifacts."""

    def __init__(self, files: ArtifactFiles) -> None:
        self._files = files
        self._lock = Lock()  # hundreds of devices may request the same answers at once
        self._chosen: dict[tuple[str, Inputs], Probe] = {}

    def load_probe(self, artifact: str, inputs: Inputs = ()) -> Probe:
        """Return test images that the trial kept, or random ones, with the artifact's answers.

        If inputs are chosen, the images are random ones of these. Raises CaseFailed if the
        interpreter on this machine can't run the artifact.
        """
        with self._lock:
            if inputs:
                return self._load_chosen(artifact, inputs)
            if (content := self._files.probe(artifact)) is None:
                content = answers.save_probe(_make_probe(self._files.verify(artifact)))
                self._files.save_probe(artifact, content)
        try:
            return answers.load_probe(content)
        except ValueError as error:
            raise CaseFailed(
                Reason.NO_INTERPRETER, f"its probe {error}; submit its sweep again."
            ) from error

    def _load_chosen(self, artifact: str, inputs: Inputs) -> Probe:
        key = artifact, inputs
        if key not in self._chosen:
            values = [self._files.find_values(entry.values) for entry in inputs if entry.values]
            self._chosen[key] = _make_probe(self._files.verify(artifact), inputs, values)
        return self._chosen[key]


def input_of(content: bytes, inputs: Inputs = ()) -> Tensor:
    """Return a model's only input, in the shape that was chosen.

    Raises CaseFailed if the model has others, or an input or output that can't be compared.
    """
    tensors = read_inputs(content)
    if len(tensors) != 1:
        raise CaseFailed(
            Reason.NO_INTERPRETER, f"it has {len(tensors)} inputs, but the check needs one."
        )
    (tensor,) = tensors
    if not _is_number(tensor.dtype):
        raise CaseFailed(Reason.NO_INTERPRETER, f"its input is {tensor.dtype}, not numbers.")
    if (dtypes := {output.dtype for output in read_outputs(content)}) != {"float32"}:
        raise CaseFailed(
            Reason.NO_INTERPRETER,
            f"its outputs are {', '.join(sorted(dtypes)) or 'missing'}, not float32.",
        )
    return replace(tensor, shape=inputs[0].shape) if inputs else tensor


def _is_number(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "biuf"
    except TypeError:  # numpy has no such type
        return False


def _make_probe(file: Path, inputs: Inputs = (), values: Sequence[Path] = ()) -> Probe:
    """Answer random images with the Python runner on this machine, which needs no TensorFlow.

    If there is a file of `values`, they are the only image. Some images are answered twice. Raises
    CaseFailed if the answers differ, as no device could be judged.
    """
    tensor = input_of(file.read_bytes(), inputs)
    if values:
        images = np.fromfile(values[0], tensor.dtype).reshape(1, *tensor.shape)
    else:
        images = _draw_images(tensor, inputs[0].bounds if inputs else None)
    count = len(images)
    outputs = _answer(file, tensor, images=np.concatenate([images, images[:_REPEATED]]))
    if not np.array_equal(outputs[: len(outputs) - count], outputs[count:], equal_nan=True):
        raise CaseFailed(Reason.NO_INTERPRETER, "its answers differ from run to run.")
    rows = answers.select_surest(outputs[:count])
    return Probe(images[rows], outputs[rows])


def _draw_images(tensor: Tensor, bounds: tuple[int, int] | None) -> NDArray[Any]:
    size = np.dtype(tensor.dtype).itemsize * prod(tensor.shape)
    count = max(1, min(_CANDIDATES, _MAX_CANDIDATE_BYTES // max(size, 1)))
    return answers.make_random_inputs(tensor, count, bounds=bounds)


def _answer(file: Path, tensor: Tensor, images: NDArray[Any]) -> answers.Values:
    """Return the outputs (n, k) of this machine's interpreter. Raises CaseFailed."""
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        images_file, outputs_file = Path(folder) / "images", Path(folder) / "outputs"
        images_file.write_bytes(images.tobytes())
        flags = answers.make_flags(tensor, str(images_file), output_file=str(outputs_file))
        argv = [sys.executable, str(RUNNER_FILE), f"--graph={file}", *flags]
        try:
            process = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise CaseFailed(
                Reason.NO_INTERPRETER,
                f"the interpreter on this machine took over {_TIMEOUT_S:.0f} s.",
            ) from error
        if process.returncode != 0 or not outputs_file.is_file():
            cause = find_cause(process.stderr) or "no reason given"
            raise CaseFailed(
                Reason.NO_INTERPRETER,
                f"the interpreter on this machine failed ({cause}).",
                log=process.stderr,
            )
        outputs = np.fromfile(outputs_file, "<f4")
    width = sum(_find_widths(file.read_bytes()))
    if outputs.size != len(images) * width:
        raise CaseFailed(Reason.NO_INTERPRETER, _OPEN_SIZES)
    return outputs.reshape(len(images), width)


def _require_width(probe: Probe, width: int) -> None:
    """Raise CaseFailed if the answers have another number of values."""
    if probe.outputs.shape[1] != width:
        raise CaseFailed(Reason.NO_INTERPRETER, _OPEN_SIZES)


def _find_widths(content: bytes) -> list[int]:
    """Return the number of values of each output. Raises CaseFailed if it depends on the input."""
    outputs = read_outputs(content)
    for output in outputs:
        batch = 0 if len(output.shape) > 1 else None
        if any(axis != batch for axis in output.dynamic):
            raise CaseFailed(Reason.NO_INTERPRETER, _OPEN_SIZES)
    return [prod(output.shape) for output in outputs]


@dataclass
class AnswerChecker:
    """The answer checks of one device in one bench.

    `verdicts` are those of earlier benches: whether the classes agreed, or None if that is unknown.
    `recheck` checks every artifact again.
    """

    references: ReferenceAnswers
    verdicts: Mapping[tuple[str, str, Tool], bool | None]
    recheck: bool = False
    _checked: set[str] = field(init=False, default_factory=set)

    def is_due(self, case: Case) -> bool:
        """Return whether to check a case; wrong answers are, as the device may have been fixed."""
        if case.artifact in self._checked:
            return False
        verdict = self.verdicts.get((case.artifact, case.device, case.tool), False)
        if verdict is None and case.inputs:  # the tool's own may not be comparable: these may be
            verdict = False
        return self.recheck or (case.protocol.answers and verdict is False)

    def check(self, case: Case, session: DeviceSession, file: Callable[[str], Path]) -> AnswerCheck:
        """Compare the device's answers; `file` returns the file of an artifact.

        The result says so if the tool or this machine can't answer. Raises DeviceLost.
        """
        result = self._check(case, session, file=file)
        self._checked.add(case.artifact)
        return result

    def _check(
        self, case: Case, session: DeviceSession, file: Callable[[str], Path]
    ) -> AnswerCheck:
        try:
            widths = _find_widths(file(case.artifact).read_bytes())
            probe = self.references.load_probe(case.artifact, case.inputs)
            _require_width(probe, sum(widths))
            outputs = _run_probe(case, session, file=file(case.artifact), probe=probe)
        except DeviceLost:
            raise
        except CaseFailed as failure:
            return _make_check(
                case, f"answers of artifact {case.artifact[:12]}… were not checked: {failure}"
            )
        if outputs is None:
            return _make_check(
                case,
                f"{case.tool.name} on {case.device} can't write its outputs: "
                "answers were not checked.",
            )
        agreement = answers.compare_outputs(probe.outputs, outputs, widths)
        message = "" if agreement.classes_agree else _describe_difference(case, agreement)
        return _make_check(case, message, agreement=agreement)


def _make_check(
    case: Case, message: str, agreement: answers.Agreement | None = None
) -> AnswerCheck:
    return AnswerCheck(
        case.artifact,
        case.device,
        tool=case.tool,
        images=agreement.images if agreement else 0,
        largest_difference=agreement.largest_difference if agreement else None,
        classes_agree=agreement.classes_agree if agreement else None,
        message=message,
        checked_at=now(),
    )


def _describe_difference(case: Case, agreement: answers.Agreement) -> str:
    difference = agreement.largest_difference
    extent = (
        "some outputs are infinite or no number"
        if difference is None
        else f"outputs differ by up to {difference:.3g}"
    )
    return (
        f"{case.tool.name} on {case.device} answers otherwise than the interpreter on this machine "
        f"for some of {agreement.images} images ({extent}): its kernels are wrong; "
        "use another build of the tool."
    )


def _run_probe(
    case: Case, session: DeviceSession, file: Path, probe: Probe
) -> answers.Values | None:
    """Return the device's outputs, of shape (images, classes). Raises CaseFailed.

    They are None if the tool can't write them.
    """
    transport = session.transport
    tensor = input_of(file.read_bytes(), case.inputs)
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        images_file = Path(folder) / "images"
        images_file.write_bytes(probe.inputs.tobytes())
        images = transport.push(images_file, sha256_of_file(images_file), name="images")
    model = ModelFile(case.artifact, transport.path_of(case.artifact, f"{case.artifact}.tflite"))
    count, classes = probe.outputs.shape
    argv = answers.build_argv(
        session.device_tool.argv,
        model.path,
        tensor=tensor,
        images=images,
        count=count,
        folder=f"{images.rpartition('/')[0]}/answers-{uuid4().hex[:8]}",
        in_one_process=case.tool.name == PYTHON_RUNNER,
    )
    result = run_watched(
        session,
        argv,
        timeout_s=session.device.timeout_s or _TIMEOUT_S,
        model=model,
        file=file,
        cpus=case.cpus,
    )
    if result.exit_code != 0:
        raise diagnose_failure(result.exit_code, result.stderr, log=result.stderr)
    return answers.read_outputs(result.stdout, count, classes=classes)
