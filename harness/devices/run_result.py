"""The result of a run on a device, and the parser of agent.sh's report of it."""

import re
from dataclasses import dataclass
from typing import Final

TIMED_OUT: Final = -1
"""The exit code of a command that its time limit ended."""

_PARTS = 3
_DECIMAL = rb"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
_SUMMARY = re.compile(
    rb"(timeout|[0-9]{1,3}) %b %b ([0-9a-f]{32}) (-|[0-9a-f]{64}) ([0-9]{1,6})"
    % (_DECIMAL, _DECIMAL)
)


@dataclass(frozen=True)
class RunResult:
    """A command that ended.

    `exit_code` is over 128 if a signal ended the command, and `seconds` are by the device's clock.
    `watch` holds the sensor readings, in the format that `bench/watch.py` parses. `model_sha256` is
    that of the model file that was checked, and `others_waiting` how many others want the device.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    watch: str = ""
    model_sha256: str = ""
    others_waiting: int = 0


def parse_report(report: bytes) -> RunResult:
    """Parse what agent.sh's function `report` prints: a line of numbers, then three texts.

    The line has the exit code, and the start and the end in seconds since boot. Then it has the
    run's name, which also stands between the texts, the model's SHA-256, and how many wait. The
    exit code is TIMED_OUT for a command that its time limit ended. Raises ValueError for any other
    report.
    """
    line, _, texts = report.partition(b"\n")
    summary = _SUMMARY.fullmatch(line)
    if summary is None:
        raise ValueError("no summary of a run")
    code, started, ended, run, sha256, waiting = summary.groups()
    parts = texts.split(b"\n%b\n" % run)
    seconds = round(float(ended) - float(started), 3)
    if len(parts) != _PARTS or seconds < 0:
        raise ValueError("a summary that contradicts its report")
    stdout, watch, stderr = map(decode, parts)
    return RunResult(
        TIMED_OUT if code == b"timeout" else int(code),
        stdout,
        stderr=stderr,
        seconds=seconds,
        watch=watch,
        model_sha256=sha256.decode().removeprefix("-"),
        others_waiting=int(waiting),
    )


def decode(data: bytes) -> str:
    """Decode a device's output; bytes that are not UTF-8 are replaced."""
    return data.decode(errors="replace")
