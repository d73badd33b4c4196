"""Whatever ends the work on a device, as a failure with a reason."""

import traceback

from harness.core.errors import CaseFailed, Reason

_LONGEST_CAUSE = 200  # characters


def to_failure(device: str, error: BaseException) -> CaseFailed:
    """Return a failure as it is; any other error becomes a bug, whose log is the traceback.

    Of a KeyboardInterrupt or a SystemExit, this is true in a thread alone: there, no user and no
    exit is the cause.
    """
    if isinstance(error, CaseFailed):
        return error
    cause = "".join(traceback.format_exception_only(error)).strip().partition("\n")[0]
    message = (
        f"device {device}: a bug in the harness ({cause[:_LONGEST_CAUSE]}); "
        "run again with --verbose and report the traceback."
    )
    return CaseFailed(Reason.BUG, message, log="".join(traceback.format_exception(error)))
