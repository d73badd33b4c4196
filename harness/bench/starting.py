"""The cause of a program that a system did not start, in the system's own words, and the remedy.

The words are those of the shells, of util-linux, BusyBox and toybox, and of the loaders of glibc,
musl and Android.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.core.errors import LONGEST_CAUSE, Reason
from harness.core.exit_codes import NOT_EXECUTABLE, NOT_FOUND, SIGNALLED

_ILLEGAL_INSTRUCTION: Final = SIGNALLED + signal.SIGILL
_MOST_LINES = 200
_OWN_MARKS = ("ERROR: ", "WARNING: ", "INFO: ", "WARN: ")  # of a tool that has started
_LONGEST_LINE = 600  # two paths of the tool may stand before the cause


@dataclass(frozen=True)
class StartFailure:
    """The reason, the system's own words, and what to do, as the end of a sentence."""

    reason: Reason
    quote: str
    remedy: str


@dataclass(frozen=True)
class _Obstacle:
    """The words of one obstacle. `only_from_shell` are too general for other exit codes."""

    words: re.Pattern[str]
    remedy: str
    reason: Reason = Reason.NOT_STARTED
    only_from_shell: bool = False


def _obstacle(
    words: str,
    remedy: str,
    *,
    reason: Reason = Reason.NOT_STARTED,
    only_from_shell: bool = False,
) -> _Obstacle:
    return _Obstacle(re.compile(words), remedy, reason=reason, only_from_shell=only_from_shell)


_OBSTACLES = (
    _obstacle(
        r"\btaskset'?: (?:.*not found|No such file)",
        "install taskset, or set `cpus: all` in the device's entry",
        only_from_shell=True,
    ),
    _obstacle(
        r"taskset: .*(?:affinity|\bmask\b)|sched_setaffinity",
        "set `cpus` in the device's entry to cores that are on, or to `all`",
    ),
    _obstacle(
        r"version `GLIBC\w*_[\w.]+' not found",
        "update the device's system, or add a build of the tool for an older one",
    ),
    _obstacle(
        r"error while loading shared libraries|Error loading shared library|"
        r"CANNOT LINK EXECUTABLE|symbol lookup error|Error relocating",
        "install that library on the device, or add a static build of the tool",
    ),
    # Where the kernel refuses a program, the C library has a shell read it as a script.
    _obstacle(
        r"\d: [Ss]yntax error: .*unexpected|not executable: \d+-bit ELF|wrong ELF class|"
        r"[Ee]xec format error|cannot execute binary file",
        "add a build of the tool for the device's ABI",
        reason=Reason.WRONG_ABI,
    ),
    _obstacle(
        r"python[\d.]*'?: .*(?:not found|No such file)",
        "install Python on the device, or set `python` in its entry",
        reason=Reason.NO_INTERPRETER,
        only_from_shell=True,
    ),
    _obstacle(
        r"bad interpreter",
        "install that interpreter on the device, or correct the first line of the tool's script",
        only_from_shell=True,
    ),
    _obstacle(
        r"Permission denied|not permitted",
        "set `folder` in the device's entry to one whose file system runs programs (no `noexec`)",
        only_from_shell=True,
    ),
    _obstacle(
        r"not found|No such file|required file",
        "the tool or its loader is missing: add a static build of the tool",
        only_from_shell=True,
    ),
)


def diagnose_start(exit_code: int, stderr: str, stdout: str = "") -> StartFailure | None:
    """Return why the program did not start, or None if it did as far as its end shows.

    A tool that is a script may have its errors on its output.
    """
    printed = [*stderr.split("\n")[:_MOST_LINES], *stdout.split("\n")[:_MOST_LINES]]
    stripped = (line.strip()[:_LONGEST_LINE] for line in printed)
    lines = [line for line in stripped if line and not line.startswith(_OWN_MARKS)]
    from_shell = exit_code in (NOT_EXECUTABLE, NOT_FOUND)
    for obstacle in _OBSTACLES:
        if obstacle.only_from_shell and not from_shell:
            continue
        if line := _find_line(obstacle.words, lines):
            return StartFailure(obstacle.reason, line, remedy=obstacle.remedy)
    if from_shell:
        quote = _shorten(lines[-1]) if lines else f"exit code {exit_code}"
        return StartFailure(Reason.NOT_STARTED, quote, remedy="add another build of the tool")
    if exit_code == _ILLEGAL_INSTRUCTION:
        return StartFailure(
            Reason.WRONG_ABI,
            "illegal instruction",
            remedy="the tool needs a newer processor: add a build for this one",
        )
    return None


def _find_line(words: re.Pattern[str], lines: Sequence[str]) -> str:
    """Return the first line with these words; a long line loses its start, such as a path."""
    for line in lines:
        if match := words.search(line):
            return _shorten(line[max(0, match.end() - LONGEST_CAUSE) :])
    return ""


def _shorten(line: str) -> str:
    return line.replace("\r", "^M")[:LONGEST_CAUSE].rstrip(".")
