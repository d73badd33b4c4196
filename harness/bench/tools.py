"""The tools' argv, and the meaning of their exit codes and output."""

import re
import signal
from math import isclose
from pathlib import Path

from harness.bench.toollog import parse_log
from harness.core.bench import Protocol, ToolLog
from harness.core.errors import CaseFailed, Reason

PYTHON_RUNNER = "python_runner"
RUNNER_FILE = Path(__file__).with_name("runner.py")
"""Never imported: it is a program for the device's Python."""
NO_INTERPRETER = 3
"""The Python runner's exit code if the device has no interpreter."""

# The flags that the tool echoes. Older versions do not print all of these lines.
_ECHOED = {
    "Num threads": "threads",
    "Min num runs": "num_runs",
    "Min warmup runs": "warmup_runs",
    "Min runs duration (seconds)": "min_secs",
    "Max runs duration (seconds)": "max_secs",
    "Min warmup runs duration (seconds)": "warmup_min_secs",
}


def make_arguments(protocol: Protocol, graph: str) -> list[str]:
    """Return the flags for one process of lce_benchmark_model or of the Python runner."""
    return [
        f"--graph={graph}",
        f"--num_threads={protocol.threads}",
        f"--num_runs={protocol.num_runs}",
        f"--min_secs={protocol.min_secs:g}",
        f"--max_secs={protocol.max_secs:g}",
        f"--warmup_runs={protocol.warmup_runs}",
        f"--warmup_min_secs={protocol.warmup_min_secs:g}",
        "--report_peak_memory_footprint=true",
    ]


def read_output(protocol: Protocol, exit_code: int, stdout: str, stderr: str) -> ToolLog:
    """Return the numbers of one process that ended by itself.

    Raises CaseFailed with a typed reason if it failed, or did not run as the protocol says.
    """
    output = f"{stdout}\n{stderr}"
    if exit_code != 0:
        raise diagnose_failure(exit_code, stderr, log=output)
    log = parse_log(output)
    _check_echoes(protocol, log, output=output)
    return log


def diagnose_failure(exit_code: int, stderr: str, log: str) -> CaseFailed:
    """Return the failure of a process that ended with a non-zero exit code."""
    if "unresolved custom op" in stderr or "Didn't find op for builtin opcode" in stderr:
        match = re.search(r"custom op: (\w+)", stderr)
        message = (
            f"The tool lacks the model's operator {match[1] if match else 'of its version'}: "
            "binary layers need lce_benchmark_model there, or on x86-64 Linux larq-compute-engine."
        )
        return CaseFailed(Reason.MISSING_OPERATOR, message, log=log)
    cause = _find_cause(stderr) or f"exit code {exit_code}"
    if exit_code == NO_INTERPRETER:
        return CaseFailed(
            Reason.NO_INTERPRETER, f"The device has no interpreter: {cause}.", log=log
        )
    if exit_code < 0 or exit_code > 128:
        return _diagnose_signal(-exit_code if exit_code < 0 else exit_code - 128, log)
    return CaseFailed(Reason.CRASHED, f"The tool failed: {cause}.", log=log)


def _find_cause(stderr: str) -> str:
    errors = (line for line in stderr.splitlines() if line.startswith("ERROR: "))
    return next(errors, "").removeprefix("ERROR: ").strip().rstrip(".")


def _diagnose_signal(number: int, log: str) -> CaseFailed:
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    if name == "SIGKILL":
        return CaseFailed(
            Reason.KILLED,
            "The tool was killed, perhaps because memory ran out; free some and bench again.",
            log=log,
        )
    return CaseFailed(
        Reason.CRASHED,
        f"The tool crashed ({name}); the model may be broken or made for another tool.",
        log=log,
    )


def _check_echoes(protocol: Protocol, log: ToolLog, output: str) -> None:
    """Compare the echoed flags with the protocol: the tool only warns of flags that it ignores."""
    for label, field in _ECHOED.items():
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
