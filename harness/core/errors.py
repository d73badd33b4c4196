"""What can go wrong, as a small tree; every message is one sentence that says what to do."""

from enum import Enum


class HarnessError(Exception):
    """Something went wrong that the user can understand and mend."""


class RequestError(HarnessError):
    """The request itself was wrong; nothing was started (exit code 2)."""


class ConfigError(RequestError):
    """A sweep file, a registry or an override says something it may not."""


class WorkspaceError(RequestError):
    """The workspace or its database can't be used as it is."""


class DatabaseBusy(HarnessError):
    """Another process has locked the database for too long."""


class DataUnavailable(HarnessError):
    """A data set is not here and can't be fetched."""


class Reason(str, Enum):
    """Why a trial or a case failed; stored in `failures.reason`."""

    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    NO_DATA = "no_data"
    NO_TEACHER = "no_teacher"
    CONVERSION = "conversion"
    DISAGREEMENT = "disagreement"
    LOST = "lost"
    OUTCLASSED = "outclassed"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    MISSING_OPERATOR = "missing_operator"
    NO_INTERPRETER = "no_interpreter"
    UNPARSABLE = "unparsable"
    NOTHING_RAN = "nothing_ran"
    ECHO_MISMATCH = "echo_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    UNREACHABLE = "unreachable"
    NO_SPACE = "no_space"
    NOT_WRITABLE = "not_writable"
    WRONG_ABI = "wrong_abi"
    DEVICE_BUSY = "device_busy"
    WRONG_ANSWER = "wrong_answer"
    NOT_PROFILED = "not_profiled"
    BUG = "bug"

    def __str__(self) -> str:
        return self.value


class TrialFailed(HarnessError):
    """One trial failed; the others go on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[Reason, str]]:
        return type(self), (self.reason, str(self))


class CaseFailed(HarnessError):
    """One case failed; the others go on. `log` is what the tool had printed."""

    def __init__(self, reason: Reason, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.log = log


class DeviceLost(CaseFailed):
    """The harness lost the device, which says nothing about the case: it can be measured later."""


class Unreachable(DeviceLost):
    """The connection to a device does not work; `passing` if it may recover by itself."""

    def __init__(self, message: str, *, passing: bool = True) -> None:
        super().__init__(Reason.UNREACHABLE, message)
        self.passing = passing


class DeviceBusy(DeviceLost):
    """Someone else is using the device."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.DEVICE_BUSY, message)


def first_line(error: object) -> str:
    """What another library says in its first line, without a full stop: the rest is for its own developers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
