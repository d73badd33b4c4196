"""This machine as a device: what is measured runs in processes of its own, from a folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from harness.core.bench import Device
from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of_file
from harness.devices.transport import Completed

_LAST_WORDS_S = 2.0


class LocalTransport:
    """`folder` is the device's own, below the workspace."""

    def __init__(self, device: Device, folder: Path) -> None:
        self._device = device
        self._folder = folder

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            return Completed(127, "", f"{argv[0]}: {error.strerror}", time.perf_counter() - started)
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            log = _end(process)
            message = f"{argv[0]} was still running after {timeout_s:g} s on {self._device.id} and was ended."
            raise CaseFailed(Reason.TIMEOUT, message, log) from error
        except BaseException:
            _end(process)
            raise
        return Completed(process.returncode, stdout, stderr, time.perf_counter() - started)

    def push(self, source: Path, sha256: str, name: str) -> str:
        target = self._folder / sha256 / name
        if not target.exists():
            _copy(source, target)
        if sha256_of_file(target) != sha256:
            target.unlink()
            raise CaseFailed(
                Reason.HASH_MISMATCH,
                f"{source.name} arrived on {self._device.id} "
                f"with another content than it has by its name {sha256[:12]}…; bench again.",
            )
        return str(target)

    def python(self) -> Sequence[str]:
        return (sys.executable,)


def _copy(source: Path, target: Path) -> None:
    """Under a temporary name first, so that no half file ever has the hash's name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _end(process: "subprocess.Popen[str]") -> str:
    """Ends the command and all that it started; returns what it had printed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return "\n".join(process.communicate(timeout=_LAST_WORDS_S))
    except subprocess.TimeoutExpired as error:  # a child that left the session holds the pipe: it is not waited for
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        printed = (error.stdout or b"", error.stderr or b"")
        return "\n".join(part.decode(errors="replace") if isinstance(part, bytes) else part for part in printed)
