"""Whether a device gives the answers that the interpreter gives here: once for each artifact, device and tool."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from uuid import uuid4

import numpy as np

from harness.bench import answers
from harness.bench.answers import Probe
from harness.bench.tools import PYTHON_RUNNER, RUNNER_FILE, diagnose_failure
from harness.conversion.anatomy import Tensor, read_inputs, read_outputs
from harness.core.bench import Case, Tool
from harness.core.errors import CaseFailed, DeviceLost, Reason
from harness.core.ids import sha256_of_file
from harness.core.observations import AnswerCheck
from harness.devices import ModelFile
from harness.fleet.process import DeviceSession, run_watched
from harness.store.database import now
from harness.store.files.artifacts import ArtifactFiles

_TIMEOUT_S = 600.0
_CANDIDATES = 64  # of which the eight are taken that the model is surest of


class ReferenceAnswers:
    """What the interpreter here answers, worked out once an artifact, and kept beside it."""

    def __init__(self, files: ArtifactFiles) -> None:
        self._files = files
        self._one_at_a_time = Lock()  # two hundred devices may ask for the same one at once

    def of(self, artifact: str) -> Probe:
        """Test images that the trial left, or random ones. Raises CaseFailed where the interpreter here can't tell."""
        with self._one_at_a_time:
            if (kept := self._files.probe(artifact)) is None:
                kept = answers.save_probe(_probe_here(self._files.verify(artifact)))
                self._files.save_probe(artifact, kept)
        try:
            return answers.load_probe(kept)
        except ValueError as error:
            raise CaseFailed(
                Reason.NO_INTERPRETER, f"its probe {error}; submit its sweep again."
            ) from error


def input_of(content: bytes) -> Tensor:
    """Raises CaseFailed for a model that is not asked with one image alone."""
    tensors = read_inputs(content)
    if len(tensors) != 1:
        raise CaseFailed(
            Reason.NO_INTERPRETER, f"it has {len(tensors)} inputs, and images are one."
        )
    if (dtypes := {tensor.dtype for tensor in read_outputs(content)}) != {"float32"}:
        raise CaseFailed(
            Reason.NO_INTERPRETER, f"its outputs are {', '.join(sorted(dtypes))}, not float32."
        )
    return tensors[0]


def _probe_here(file: Path) -> Probe:
    """By the Python runner on this machine, which needs no TensorFlow."""
    tensor = input_of(file.read_bytes())
    images = answers.random_inputs(tensor, _CANDIDATES)
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        images_file, found_file = Path(folder) / "images", Path(folder) / "outputs"
        images_file.write_bytes(images.tobytes())
        flags = answers.flags(tensor, str(images_file), output_file=str(found_file))
        argv = [sys.executable, str(RUNNER_FILE), f"--graph={file}", *flags]
        ended = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        if ended.returncode != 0 or not found_file.is_file():
            said = (ended.stderr.strip() or "it said nothing").splitlines()[-1]
            raise CaseFailed(
                Reason.NO_INTERPRETER,
                f"the interpreter here can't tell ({said}).",
                log=ended.stderr,
            )
        found = np.fromfile(found_file, "<f4").reshape(_CANDIDATES, -1)
    chosen = answers.surest(found)
    return Probe(images[chosen], found[chosen])


@dataclass
class AnswerChecker:
    """One device's answers in one bench; `known` are those of earlier ones, which `again` asks for anew."""

    references: ReferenceAnswers
    known: Mapping[tuple[str, str, Tool], bool | None]
    again: bool = False
    _asked: set[str] = field(init=False, default_factory=set)

    def is_due(self, case: Case) -> bool:
        """A wrong answer is asked for anew: the device may have been mended."""
        if case.artifact in self._asked:
            return False
        known = self.known.get((case.artifact, case.device, case.tool), False)
        return self.again or (case.protocol.answers and known is False)

    def check(self, case: Case, session: DeviceSession, file: Callable[[str], Path]) -> AnswerCheck:
        """Where the tool or this machine can't tell, the answer says so. Raises CaseFailed where the device is gone."""
        answer = self._check(case, session, file=file)
        self._asked.add(case.artifact)
        return answer

    def _check(
        self, case: Case, session: DeviceSession, file: Callable[[str], Path]
    ) -> AnswerCheck:
        about = (case.artifact, case.device, case.tool)
        try:
            probe = self.references.of(case.artifact)
            found = _answers_there(case, session, file=file(case.artifact), probe=probe)
        except DeviceLost:
            raise
        except CaseFailed as why:
            return AnswerCheck(
                *about,
                0,
                None,
                None,
                f"answers of {case.artifact[:12]}… were not checked: {why}",
                now(),
            )
        if found is None:
            said = f"{case.tool.name} on {case.device} can't write its outputs: answers were not checked."
            return AnswerCheck(*about, 0, None, None, said, now())
        agreement = answers.compare(probe.outputs, found)
        said = "" if agreement.classes_agree else _wrong(case, agreement)
        return AnswerCheck(
            *about,
            agreement.images,
            agreement.largest_difference,
            agreement.classes_agree,
            said,
            now(),
        )


def _wrong(case: Case, agreement: answers.Agreement) -> str:
    return (
        f"{case.tool.name} on {case.device} names other classes than the interpreter here for some of "
        f"{agreement.images} images (outputs differ by up to {agreement.largest_difference:.3g}): "
        "its kernels are wrong there; take another build of the tool."
    )


def _answers_there(
    case: Case, session: DeviceSession, file: Path, probe: Probe
) -> answers.Values | None:
    """(images, classes); None where the tool can't write them. Raises CaseFailed."""
    transport = session.transport
    tensor = input_of(file.read_bytes())
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        images = Path(folder) / "images"
        images.write_bytes(probe.inputs.tobytes())
        there = transport.push(images, sha256_of_file(images), name="images")
    model = ModelFile(case.artifact, transport.path_of(case.artifact, f"{case.artifact}.tflite"))
    count, classes = probe.outputs.shape
    at_once = case.tool.name == PYTHON_RUNNER
    folder_there = f"{there.rpartition('/')[0]}/answers-{uuid4().hex[:8]}"
    argv = answers.script(
        session.device_tool.argv,
        model.path,
        input=tensor,
        images=there,
        count=count,
        folder=folder_there,
        at_once=at_once,
    )
    completed = run_watched(
        session,
        argv,
        timeout_s=session.device.timeout_s or _TIMEOUT_S,
        model=model,
        file=file,
        cpus=case.cpus,
    )
    if completed.exit_code != 0:
        raise diagnose_failure(completed.exit_code, completed.stderr, log=completed.stderr)
    return answers.read_outputs(completed.stdout, count, classes=classes)
