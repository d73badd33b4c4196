"""A small tree of errors. Each message is one sentence that says what to do."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

LONGEST_CAUSE: Final = 200
LONGEST_QUOTE: Final = 100
"""Characters of a program's error message, and of its other output, that a message quotes."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class HarnessError(Exception):
    """A problem that the user can understand and fix.

    Its message can be printed: bytes that are not UTF-8, as in file names, are replaced.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_SURROGATES.sub("\ufffd", message))


class RequestError(HarnessError):
    """The request itself was wrong; nothing was started (exit code 2)."""


class ConfigError(RequestError):
    """A sweep file, a device registry or an option has a wrong key or value."""


class WorkspaceError(RequestError):
    """The workspace or its database is not usable in its present state."""


class ToolFileError(RequestError):
    """No device can run the file as a program; the message continues a sentence about it."""


class DatabaseBusy(HarnessError):
    """Another process has locked the database for too long."""


class DataUnavailable(HarnessError):
    """A data set is missing and can't be fetched."""


class Reason(str, Enum):
    """The reason for a failed trial or case, as stored in `failures.reason`."""

    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    NO_DATA = "no_data"
    NO_TEACHER = "no_teacher"
    NO_GPU = "no_gpu"
    CONVERSION = "conversion"
    DISAGREEMENT = "disagreement"
    LOST = "lost"
    OUTCLASSED = "outclassed"
    BUDGET = "budget"
    INFEASIBLE = "infeasible"
    TIMEOUT = "timeout"
    NOT_STARTED = "not_started"
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
    CORES_OFF = "cores_off"
    DEVICE_BUSY = "device_busy"
    WRONG_ANSWER = "wrong_answer"
    NOT_PROFILED = "not_profiled"
    BUG = "bug"

    def __str__(self) -> str:
        return self.value


class FailureHelp(NamedTuple):
    """A reason's meaning and remedy, for the manual; the message of a failure is more exact."""

    meaning: str
    remedy: str


FAILURE_HELP: Final[Mapping[Reason, FailureHelp]] = {
    Reason.DIVERGED: FailureHelp(
        "The loss became infinite or not a number.", "Lower `train.learning_rate`."
    ),
    Reason.OUT_OF_MEMORY: FailureHelp(
        "The network or its batches did not fit into memory, even in a second try alone.",
        "Lower `train.batch_size`, make the network smaller, or raise `resources.cpu`: "
        "fewer trials then run at once.",
    ),
    Reason.KILLED: FailureHelp(
        "Something killed the worker or the tool; often memory ran out.",
        "Free some memory, and run the same command again.",
    ),
    Reason.NO_DATA: FailureHelp(
        "The data set can't be fetched or read, or has too few images for one batch.",
        "Follow the message; `HARNESS_DATA` names a folder of data sets.",
    ),
    Reason.NO_TEACHER: FailureHelp(
        "The float twin that a distilled network learns from failed.",
        "Fix the twin's failure first.",
    ),
    Reason.NO_GPU: FailureHelp(
        "The trial was given a GPU that TensorFlow does not see on that node.",
        "Run `pip install '.[gpu]'` on the node and check its NVIDIA driver, "
        "or set `resources.gpu` to 0.",
    ),
    Reason.CONVERSION: FailureHelp(
        "The converter can't convert the trained network.",
        "Replace the layer that the message names.",
    ),
    Reason.DISAGREEMENT: FailureHelp(
        "The artifact and the trained network name different classes for too many test images.",
        "Compare the deployed graph with the trained one: the conversion changed the network.",
    ),
    Reason.LOST: FailureHelp(
        "Ray ended without reporting this trial, lost its node in three tries, or has no node left "
        "that could train it.",
        "Run the same command again, after starting a node if none is left.",
    ),
    Reason.OUTCLASSED: FailureHelp(
        "Successive halving (`search.asha`) ended the trial because others did better.",
        "Nothing, or raise `search.asha.grace_epochs`.",
    ),
    Reason.BUDGET: FailureHelp(
        "The search's `budget_s` was used up.", "Raise `search.budget_s`, and submit again."
    ),
    Reason.INFEASIBLE: FailureHelp(
        "The untrained network broke a constraint of the search, so it was not trained.",
        "Nothing, or raise `at_most` of the constraint, and submit again.",
    ),
    Reason.TIMEOUT: FailureHelp(
        "A run exceeded its time limit and was ended.",
        "Raise `timeout_s` in the device's entry, or measure with fewer runs.",
    ),
    Reason.NOT_STARTED: FailureHelp(
        "The device's system could not start the tool.",
        "Follow the message, which quotes the system.",
    ),
    Reason.CRASHED: FailureHelp(
        "The tool or the device's shell ended with an error.",
        "Read the log in `failures`; check the model and the tool.",
    ),
    Reason.MISSING_OPERATOR: FailureHelp(
        "The tool lacks one of the model's operators.",
        "For binary layers, add `lce_benchmark_model`; on x86-64 Linux, "
        "install larq-compute-engine.",
    ),
    Reason.NO_INTERPRETER: FailureHelp(
        "The device has neither a benchmark binary nor a Python interpreter for the model.",
        "Run `harness tools add`, or `pip install ai-edge-litert` on the device.",
    ),
    Reason.UNPARSABLE: FailureHelp(
        "The tool printed something that the harness can't read.",
        "Use a released tool; a newer harness may read it with `harness bench --reparse`.",
    ),
    Reason.NOTHING_RAN: FailureHelp(
        "The tool ended without a timed inference.", "Raise `num_runs` or `min_secs`."
    ),
    Reason.ECHO_MISMATCH: FailureHelp(
        "The tool ran with other settings than it was given.",
        "Use a tool that takes these settings, such as the released one.",
    ),
    Reason.HASH_MISMATCH: FailureHelp(
        "A file's content is not what its SHA-256 says, in the workspace or on the device.",
        "Run the same command again; if it repeats, check the disk.",
    ),
    Reason.UNREACHABLE: FailureHelp(
        "The connection to the device failed and did not recover.",
        "Run `harness devices check`, then the same bench again.",
    ),
    Reason.NO_SPACE: FailureHelp(
        "The device has no space for the artifact or the tool.",
        "Run `harness devices clean`, or name another `folder` in its entry.",
    ),
    Reason.NOT_WRITABLE: FailureHelp(
        "The working folder on the device can't be written.",
        "Name another `folder` in its entry, or change its permissions.",
    ),
    Reason.WRONG_ABI: FailureHelp(
        "The tool is built for another kind of processor than the device has.",
        "Correct `abi` or `tool` in the device's entry, or add the tool that fits.",
    ),
    Reason.CORES_OFF: FailureHelp(
        "The device's entry names a core that is off or that the device lacks.",
        "Set `cpus` in its entry to cores that are on, or to `big`.",
    ),
    Reason.DEVICE_BUSY: FailureHelp(
        "Someone else used the device for longer than `--wait`.", "Try again later."
    ),
    Reason.WRONG_ANSWER: FailureHelp(
        "The device's tool gives other classes than the interpreter on this machine.",
        "Use another tool; then repeat the check with `harness bench --check-answers`.",
    ),
    Reason.NOT_PROFILED: FailureHelp(
        "The operators could not be profiled; the measurement itself stands.",
        "Use a benchmark binary: the Python runner can't profile.",
    ),
    Reason.BUG: FailureHelp(
        "An error in the harness, or in a model function of your own.",
        "Run with `--verbose`; correct your function, or report the traceback.",
    ),
}


class TrialFailed(HarnessError):
    """One trial failed; the others go on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[Reason, str]]:
        return type(self), (self.reason, str(self))


class CaseFailed(HarnessError):
    """One case failed; the others go on. `log` is the tool's output."""

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
    """Return the first line of another library's message, without its full stop.

    The other lines are for that library's developers.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
