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
from uuid import uuid4

import numpy as np

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
_MAX_OUTPUT_BYTES = 20_000_000  # of all images: a device prints three characters for each
_REPEATED = 4
_OPEN_SIZES = "the sizes of its outputs depend on its input."
Inputs = tuple[ModelInput, ...]


@dataclass(frozen=True)
class CheckedModel:
    """The file of an artifact, with its inputs as they are fed, and its outputs."""

    file: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


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
            return self._load_chosen(artifact, inputs) if inputs else self._load_stored(artifact)

    def _load_stored(self, artifact: str) -> Probe:
        probe = self._read_stored(artifact)
        if probe is None or not probe.outputs:
            probe = _make_probe(read_model(self._files.verify(artifact)), probe)
            self._files.save_probe(artifact, answers.save_probe(probe))
        return probe

    def _read_stored(self, artifact: str) -> Probe | None:
        if (content := self._files.probe(artifact)) is None:
            return None
        try:
            return answers.load_probe(content)
        except ValueError as error:
            raise CaseFailed(
                Reason.NO_INTERPRETER, f"its probe {error}; submit its sweep again."
            ) from error

    def _load_chosen(self, artifact: str, inputs: Inputs) -> Probe:
        key = artifact, inputs
        if key not in self._chosen:
            model = read_model(self._files.verify(artifact), inputs)
            images = _draw_images(model, inputs, find_values=self._files.find_values)
            self._chosen[key] = _make_probe(model, Probe(images))
        return self._chosen[key]


def read_model(file: Path, inputs: Inputs = ()) -> CheckedModel:
    """Return a model with its inputs in the shapes that were chosen.

    Raises CaseFailed if one of its inputs or outputs can't be compared.
    """
    content = file.read_bytes()
    tensors, outputs = read_inputs(content), read_outputs(content)
    if inputs:
        tensors = tuple(
            replace(tensor, shape=entry.shape)
            for tensor, entry in zip(tensors, inputs, strict=True)
        )
    for kind, ends in (("input", tensors), ("output", outputs)):
        if not ends:
            raise CaseFailed(Reason.NO_INTERPRETER, f"it has no {kind}.")
        for tensor in ends:
            if not _is_comparable(tensor.dtype):
                raise CaseFailed(
                    Reason.NO_INTERPRETER,
                    f"its {kind} {tensor.name} is {tensor.dtype}, which can't be compared.",
                )
    if any(prod(tensor.shape) == 0 for tensor in tensors):
        raise CaseFailed(Reason.NO_INTERPRETER, "one of its inputs has no values.")
    if any(map(_has_open_size, outputs)):
        raise CaseFailed(Reason.NO_INTERPRETER, _OPEN_SIZES)
    if (size := answers.count_bytes(outputs)) > _MAX_OUTPUT_BYTES:
        raise CaseFailed(Reason.NO_INTERPRETER, f"its outputs have {size:,} bytes, too many.")
    return CheckedModel(file, tensors, outputs=outputs)


def _is_comparable(dtype: str) -> bool:
    """Return whether the interpreter on this machine takes and returns values of a type."""
    try:
        return dtype == "float32" or np.dtype(dtype).kind in "biu"
    except TypeError:  # numpy has no such type
        return False


def _has_open_size(output: Tensor) -> bool:
    batch = 0 if len(output.shape) > 1 else None
    return any(axis != batch for axis in output.dynamic)


def _make_probe(model: CheckedModel, earlier: Probe | None = None) -> Probe:
    """Answer images with the Python runner on this machine, which needs no TensorFlow.

    They are those of an `earlier` probe if they fit, or else random ones. Raises CaseFailed if the
    answers differ from run to run, as no device could be judged.
    """
    if earlier is None or not _fits(earlier.inputs, model.inputs):
        images = _draw_images(model)
    else:
        images = earlier.inputs
    count = len(images[0])
    repeated = tuple(np.concatenate([values, values[:_REPEATED]]) for values in images)
    outputs = _answer(model, repeated)
    for values in outputs:
        again = values[count:]
        if not np.array_equal(values[: len(again)], again, equal_nan=True):
            raise CaseFailed(Reason.NO_INTERPRETER, "its answers differ from run to run.")
    probe = Probe(images, tuple(values[:count] for values in outputs))
    limit = _MAX_OUTPUT_BYTES // max(1, answers.count_bytes(model.outputs))
    return probe.select(answers.select_surest(probe.outputs[0])[:limit])


def _fits(arrays: Sequence[answers.Values], tensors: Sequence[Tensor]) -> bool:
    """Return whether each input or output has values of its type and size."""
    return len(arrays) == len(tensors) and all(
        values.dtype == tensor.dtype and values.size == len(values) * prod(tensor.shape)
        for values, tensor in zip(arrays, tensors, strict=True)
    )


def _require_fit(probe: Probe, model: CheckedModel) -> None:
    """Raise CaseFailed if a stored probe, which may be imported, is another model's."""
    if not _fits(probe.inputs, model.inputs) or not _fits(probe.outputs, model.outputs):
        raise CaseFailed(
            Reason.NO_INTERPRETER, "its probe does not fit it; submit its sweep again."
        )


def _draw_images(
    model: CheckedModel, inputs: Inputs = (), find_values: Callable[[str], Path] = Path
) -> tuple[answers.Values, ...]:
    """Return random images in the ranges that were chosen.

    If there is a file of values, which `find_values` finds, there is only one image.
    """
    size = answers.count_bytes([*model.inputs, *model.outputs])
    count = max(1, min(_CANDIDATES, _MAX_CANDIDATE_BYTES // size))
    if any(entry.values for entry in inputs):
        count = 1
    images = []
    for number, tensor in enumerate(model.inputs):
        entry = inputs[number] if inputs else None
        if entry and entry.values:
            values = np.fromfile(find_values(entry.values), tensor.dtype)
            images.append(values.reshape(1, *tensor.shape))
        else:
            bounds = entry.bounds if entry else None
            images.append(answers.make_random_inputs(tensor, count, bounds=bounds, seed=number))
    return tuple(images)


def _answer(model: CheckedModel, images: Sequence[answers.Values]) -> tuple[answers.Values, ...]:
    """Return the outputs of this machine's interpreter, each (n, k). Raises CaseFailed."""
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        files = _write_images(Path(folder), images)
        outputs_file = Path(folder) / "outputs"
        flags = answers.make_flags(
            model.inputs, list(map(str, files)), output_file=str(outputs_file)
        )
        argv = [sys.executable, str(RUNNER_FILE), f"--graph={model.file}", *flags]
        try:
            process = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_TIMEOUT_S,
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
        content = outputs_file.read_bytes()
    try:
        return answers.split_outputs(content, len(images[0]), tensors=model.outputs)
    except ValueError as error:
        raise CaseFailed(Reason.NO_INTERPRETER, _OPEN_SIZES) from error


def _write_images(folder: Path, images: Sequence[answers.Values]) -> list[Path]:
    """Write the raw values of each input to a file."""
    files = []
    for number, values in enumerate(images):
        files.append(folder / f"images{number}")
        files[-1].write_bytes(values.tobytes())
    return files


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
            model = read_model(file(case.artifact), case.inputs)
            probe = self.references.load_probe(case.artifact, case.inputs)
            _require_fit(probe, model)
            outputs = _run_probe(case, session, model=model, probe=probe)
        except DeviceLost:
            raise
        except CaseFailed as failure:
            return _make_check(case, f"answers were not checked: {failure}")
        if outputs is None:
            return _make_check(
                case,
                f"{case.tool.name} on {case.device} can't write its outputs: "
                "answers were not checked.",
            )
        agreement = answers.compare_outputs(probe.outputs, outputs, tensors=model.outputs)
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
    if agreement.classes_agree is None:
        return (
            f"The whole numbers from {case.tool.name} on {case.device} differ from this machine's "
            f"by up to {difference:.3g}. They are wrong, or rounded otherwise."
        )
    extent = (
        "some outputs are infinite or no number"
        if difference is None
        else f"outputs differ by up to {difference:.3g}"
    )
    return (
        f"{case.tool.name} on {case.device} answers otherwise than the interpreter here "
        f"for some of {agreement.images} images ({extent}); use another build of the tool."
    )


def _run_probe(
    case: Case, session: DeviceSession, model: CheckedModel, probe: Probe
) -> tuple[answers.Values, ...] | None:
    """Return the device's outputs, each of shape (images, k). Raises CaseFailed.

    They are None if the tool can't write them.
    """
    transport = session.transport
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        files = _write_images(Path(folder), probe.inputs)
        hashes = list(map(sha256_of_file, files))
        paths = [
            transport.push(file, sha256, name="images")
            for file, sha256 in zip(files, hashes, strict=True)
        ]
    model_file = ModelFile(
        case.artifact, transport.path_of(case.artifact, f"{case.artifact}.tflite")
    )
    count = len(probe.inputs[0])
    argv = answers.build_argv(
        session.device_tool.argv,
        model_file.path,
        tensors=model.inputs,
        files=paths,
        count=count,
        folder=f"{paths[0].rpartition('/')[0]}/answers-{uuid4().hex[:8]}",
        in_one_process=case.tool.name == PYTHON_RUNNER,
    )
    result = run_watched(
        session,
        argv,
        timeout_s=session.device.timeout_s or _TIMEOUT_S,
        model=model_file,
        file=model.file,
        cpus=case.cpus,
        keep=hashes,
    )
    if result.exit_code != 0:
        raise diagnose_failure(result.exit_code, result.stderr)
    return answers.read_outputs(result.stdout, count, tensors=model.outputs)
