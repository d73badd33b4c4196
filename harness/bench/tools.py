"""The tools' argv, and the meaning of their exit codes and output."""

import re
import signal
from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path
from types import MappingProxyType

from harness.bench.starting import diagnose_start
from harness.bench.toollog import SETTINGS, parse_log
from harness.core.bench import ModelInput, Protocol, ToolLog
from harness.core.errors import LONGEST_CAUSE, CaseFailed, Reason
from harness.core.exit_codes import SIGNALLED

PYTHON_RUNNER = "python_runner"
RUNNER_FILE = Path(__file__).with_name("runner.py")
"""Never imported: it is a program for the device's Python."""
NO_INTERPRETER = 3
"""The Python runner's exit code if the device has no interpreter."""

# The signals that a program's own faults raise; any other one comes from outside.
_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGPIPE,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)


def make_arguments(
    protocol: Protocol,
    graph: str,
    inputs: Sequence[ModelInput] = (),
    value_files: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Return the flags for one process of lce_benchmark_model or of the Python runner.

    `value_files` has the paths on the device of the inputs' files, by SHA-256.
    """
    return [
        *_make_input_flags(inputs, value_files),
        f"--graph={graph}",
        f"--num_threads={protocol.threads}",
        f"--num_runs={protocol.num_runs}",
        f"--min_secs={protocol.min_secs:g}",
        f"--max_secs={protocol.max_secs:g}",
        f"--warmup_runs={protocol.warmup_runs}",
        f"--warmup_min_secs={protocol.warmup_min_secs:g}",
        "--report_peak_memory_footprint=true",
    ]


def _make_input_flags(inputs: Sequence[ModelInput], value_files: Mapping[str, str]) -> list[str]:
    """Return the flags for these inputs, which are all of the model's.

    The tool takes names from the flags for names of its own, in the model's order: the model's may
    hold the separators.
    """
    if not inputs:
        return []
    names = [f"input{number}" for number in range(len(inputs))]
    ranges = [
        f"{name},{entry.low},{entry.high}"
        for name, entry in zip(names, inputs, strict=True)
        if entry.low is not None
    ]
    files = [
        f"{name}:{double_colons(value_files[entry.values])}"
        for name, entry in zip(names, inputs, strict=True)
        if entry.values
    ]
    flags = [
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={format_shapes([entry.shape for entry in inputs])}",
    ]
    flags += [f"--input_layer_value_range={':'.join(ranges)}"] if ranges else []
    return [*flags, *([f"--input_layer_value_files={','.join(files)}"] if files else [])]


def format_shapes(shapes: Sequence[Sequence[int]]) -> str:
    """Return shapes as the tool takes them, which sees a scalar's only before a colon."""
    text = ":".join(",".join(map(str, shape)) for shape in shapes)
    return text if shapes[-1] else f"{text}:"


def double_colons(text: str) -> str:
    """Return a name or a path as the tool takes it, beside a colon that separates."""
    return text.replace(":", "::")


def read_output(protocol: Protocol, exit_code: int, stdout: str, stderr: str) -> ToolLog:
    """Return the numbers of one process that ended by itself.

    Raises CaseFailed with a typed reason if it failed, or did not run as the protocol says.
    """
    output = f"{stdout}\n{stderr}"
    if exit_code != 0:
        raise diagnose_failure(exit_code, stderr, stdout=stdout)
    log = parse_log(output)
    _check_echoes(protocol, log, output=output)
    return log


def diagnose_failure(exit_code: int, stderr: str, stdout: str = "") -> CaseFailed:
    """Return the failure of a process that ended with a non-zero exit code."""
    log = f"{stdout}\n{stderr}"
    if "unresolved custom op" in log or "Didn't find op for builtin opcode" in log:
        match = re.search(r"custom op: (\w+)", log)
        message = (
            f"The tool lacks the model's operator {match[1] if match else 'of its version'}: "
            "binary layers need lce_benchmark_model there, or on x86-64 Linux larq-compute-engine."
        )
        return CaseFailed(Reason.MISSING_OPERATOR, message, log=log)
    cause = find_cause(stderr) or find_cause(stdout) or f"exit code {exit_code}"
    if exit_code == NO_INTERPRETER:
        return CaseFailed(
            Reason.NO_INTERPRETER, f"The device has no interpreter: {cause}.", log=log
        )
    if start := diagnose_start(exit_code, stderr, stdout=stdout):
        message = f"The tool did not start ({start.quote}): {start.remedy}."
        return CaseFailed(start.reason, message, log=log)
    number = -exit_code if exit_code < 0 else exit_code - SIGNALLED
    if number in signal.valid_signals():
        return _diagnose_signal(signal.Signals(number), log)
    return CaseFailed(Reason.CRASHED, f"The tool failed: {cause}.", log=log)


def find_cause(stderr: str) -> str:
    """Return the first line of an error, or else the last line that is not a note."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    others = [line for line in lines if not line.startswith(("INFO: ", "WARNING: "))]
    cause = errors[0] if errors else others[-1] if others else ""
    return cause[:LONGEST_CAUSE].rstrip(".")


def _diagnose_signal(number: signal.Signals, log: str) -> CaseFailed:
    name = number.name
    if number == signal.SIGXFSZ:  # the device's program limits what it prints
        message = f"The tool printed more than is kept ({name}); use a released tool."
        return CaseFailed(Reason.CRASHED, message, log=log)
    if number in _FAULTS:
        message = f"The tool crashed ({name}); the model may be broken or made for another tool."
        return CaseFailed(Reason.CRASHED, message, log=log)
    if number == signal.SIGKILL:
        message = f"The tool was killed ({name}), perhaps because memory ran out; free some"
    elif number == signal.SIGXCPU:
        message = f"The tool reached a limit of its shell ({name}); raise it with `ulimit`"
    else:
        message = f"Something outside ended the tool ({name}), not the model; find what"
    return CaseFailed(Reason.KILLED, f"{message}, and bench again.", log=log)


def _check_echoes(protocol: Protocol, log: ToolLog, output: str) -> None:
    """Compare the echoed flags with the protocol: the tool only warns of flags that it ignores."""
    for label, field in SETTINGS.items():
        expected, echoed = getattr(protocol, field), log.echo.get(label)
        if echoed is not None and not _is_equal(echoed, expected):
            raise CaseFailed(
                Reason.ECHO_MISMATCH,
                f"The tool ran with {field}={echoed} instead of {expected:g}; "
                "use another version of the tool.",
                log=output,
            )


def _is_equal(echoed: str, expected: float) -> bool:
    try:
        return isclose(float(echoed), expected, rel_tol=1e-5)
    except ValueError:
        return False
