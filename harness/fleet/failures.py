"""Whatever ends the work on a device, as a failure with a reason."""

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.conversion.inputs import suggest_ranges
from harness.core.bench import ModelInput
from harness.core.errors import LONGEST_CAUSE, CaseFailed, Reason

_BAD_INDEX = re.compile(r"\bind(?:ex|ices)\b.{0,100}\bout of (?:bounds|range)", re.IGNORECASE)
_STRING_INPUT = "NumPy type info missing for Pc"  # in the words of larq-compute-engine


def to_failure(device: str, error: BaseException) -> CaseFailed:
    """Return a failure as it is; any other error becomes a bug, whose log is the traceback.

    Of a KeyboardInterrupt or a SystemExit, this is true in a thread alone: there, no user and no
    exit is the cause.
    """
    if isinstance(error, CaseFailed):
        return error
    cause = "".join(traceback.format_exception_only(error)).strip().partition("\n")[0]
    message = (
        f"device {device}: a bug in the harness ({cause[:LONGEST_CAUSE]}); "
        "run again with --verbose and report the traceback."
    )
    return CaseFailed(Reason.BUG, message, log="".join(traceback.format_exception(error)))


def explain_inputs(
    failure: CaseFailed, inputs: Sequence[ModelInput], file: Callable[[], Path]
) -> CaseFailed:
    """Return the failure with what helps, if an input was no valid index or is a string.

    `inputs` are those that were chosen, and `file` returns the artifact on this machine.
    """
    if failure.reason is not Reason.CRASHED:
        return failure
    remedy = ""
    if _BAD_INDEX.search(str(failure)):
        remedy = suggest_ranges(file().read_bytes(), inputs)
    elif _STRING_INPUT in str(failure):
        remedy = "an input is a string, which only lce_benchmark_model takes"
    message = f"{str(failure).rstrip('.')}; {remedy}."
    return CaseFailed(failure.reason, message, log=failure.log) if remedy else failure
