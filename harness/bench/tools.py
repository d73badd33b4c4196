"""Tools: their argv, and what their exit and output mean."""

import re
import signal
from collections.abc import Sequence
from math import isclose
from pathlib import Path

from harness.bench.toollog import parse
from harness.core.bench import Protocol, ToolLog
from harness.core.errors import CaseFailed, Reason

PYTHON_RUNNER = "python_runner"
RUNNER_FILE = Path(__file__).with_name(
    "runner.py"
)  # not imported: it is a program, and needs numpy
NO_INTERPRETER = 3  # its exit code where the device has none

# What the tool echoes of what it was asked; lines that older versions do not print are not held against them.
_ECHOED = {
    "Num threads": "threads",
    "Min num runs": "num_runs",
    "Min warmup runs": "warmup_runs",
    "Min runs duration (seconds)": "min_secs",
    "Max runs duration (seconds)": "max_secs",
    "Min warmup runs duration (seconds)": "warmup_min_secs",
}


def arguments(protocol: Protocol, graph: str) -> list[str]:
    """The tool's flags for one process; lce_benchmark_model and the Python runner take the same."""
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


def read(protocol: Protocol, exit_code: int, stdout: str, stderr: str) -> ToolLog:
    """The numbers of one process that ended by itself. Raises CaseFailed with a typed reason."""
    log = f"{stdout}\n{stderr}"
    if exit_code != 0:
        raise failure(exit_code, stderr, log=log)
    numbers = parse(log)
    _hold_against(protocol, numbers, log=log)
    return numbers


def failure(exit_code: int, stderr: str, log: str) -> CaseFailed:
    """What a process that ended with another code than 0 died of, as far as it said."""
    errors = [
        line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")
    ]
    words = errors[0].strip().rstrip(".") if errors else f"exit code {exit_code}"
    if "unresolved custom op" in stderr or "Didn't find op for builtin opcode" in stderr:
        named = re.search(r"custom op: (\w+)", stderr)
        message = (
            f"The tool lacks the model's operator {named[1] if named else 'of its version'}: binary layers need "
            "lce_benchmark_model there, or on x86-64 Linux larq-compute-engine."
        )
        return CaseFailed(Reason.MISSING_OPERATOR, message, log=log)
    if exit_code == NO_INTERPRETER:
        return CaseFailed(
            Reason.NO_INTERPRETER, f"The device has no interpreter: {words}.", log=log
        )
    if exit_code < 0 or exit_code > 128:
        return _signalled(-exit_code if exit_code < 0 else exit_code - 128, log)
    return CaseFailed(Reason.CRASHED, f"The tool failed: {words}.", log=log)


def _signalled(number: int, log: str) -> CaseFailed:
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    if name == "SIGKILL":
        return CaseFailed(
            Reason.KILLED,
            "The tool was killed, perhaps as memory ran out; free some and bench again.",
            log=log,
        )
    return CaseFailed(
        Reason.CRASHED,
        f"The tool crashed ({name}); the model may be broken, or not made for this tool.",
        log=log,
    )


def _hold_against(protocol: Protocol, numbers: ToolLog, log: str) -> None:
    """The tool only warns of flags that it does not take: what it echoes has to be what was asked."""
    for words, name in _ECHOED.items():
        asked, echoed = getattr(protocol, name), numbers.echo.get(words)
        if echoed is not None and not _same(echoed, asked):
            raise CaseFailed(
                Reason.ECHO_MISMATCH,
                f"The tool was asked for {name}={asked:g} and ran with {echoed}.",
                log=log,
            )


def _same(echoed: str, asked: float) -> bool:
    try:
        return isclose(float(echoed), asked, rel_tol=1e-5)
    except ValueError:
        return False


def command(interpreter: Sequence[str], program: str, protocol: Protocol, graph: str) -> list[str]:
    """The argv of one process: `interpreter` is empty for a program that runs by itself."""
    return [*interpreter, program, *arguments(protocol, graph)]
