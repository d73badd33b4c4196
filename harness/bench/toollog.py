"""What lce_benchmark_model and the Python runner print, of any version → numbers.

Nothing half-parsed passes: a number that was not printed is None, a line that contradicts another is an error.
"""

import re
from collections.abc import Iterator
from math import inf, isclose

from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason

MIB = 1024 * 1024
_PRINTED_PRECISION = 1e-4  # the tool prints six digits

_COUNT = re.compile(
    r"^(?:INFO: )?count=(?P<count>\d{1,12})\b(?P<rest>.*)"
)  # the profile's own count lines start otherwise
_FIELD = re.compile(r"\b(?P<name>first|curr|min|max|avg|std)=(?P<value>[-+.\deE]+)")
_STARTED = re.compile(r"\bRunning benchmark for at least \d+ iterations")
_SUMMARY = re.compile(r"\bInference timings in us: Init: (?P<init>[-+.\deE]+),.*Inference \(avg\): (?P<avg>[-+.\deE]+)")
_OLD_SUMMARY = re.compile(
    r"\bAverage inference timings in us: Warmup: [-+.\deE]+, Init: (?P<init>[-+.\deE]+), no stats: (?P<avg>[-+.\deE]+)"
)
_INITIALIZED = re.compile(r"\bInitialized session in (?P<ms>[-+.\deE]+)ms")
_PEAK = re.compile(r"\bOverall peak memory footprint \(MB\) via periodic monitoring: (?P<mb>[-+.\deE]+)")
_OLD_PEAK = re.compile(r"\[Overall\] - Memory usage: max resident set size = (?P<mb>[-+.\deE]+) MB")
_ECHO = re.compile(r"^(?:INFO: )?(?P<name>[A-Z#][^:\[\]]*?): \[(?P<value>.*)\]$")
_UNCONSUMED = re.compile(r"\bUnconsumed cmdline flags: (?P<flags>.+)")


def parse(text: str) -> ToolLog:
    """The numbers of one process.

    Raises CaseFailed: unparsable, nothing_ran, or echo_mismatch for a flag it did not know.
    """
    lines = text.splitlines()
    if unknown := next((found for line in lines if (found := _UNCONSUMED.search(line))), None):
        message = f"The tool does not know {unknown['flags']}: take a tool of another version."
        raise CaseFailed(Reason.ECHO_MISMATCH, message, text)
    warmup, inference = _series(text, lines)
    init, average = _summary(text, lines)
    if average is not None and not isclose(average, inference.avg_us, rel_tol=_PRINTED_PRECISION):
        raise _unparsable(f"The tool contradicts itself: avg={inference.avg_us:g}, and later {average:g}.", text)
    return ToolLog(inference, warmup, init, _peak(text, lines), dict(_echoes(lines)))


def _unparsable(message: str, text: str) -> CaseFailed:
    return CaseFailed(Reason.UNPARSABLE, message, text)


def _series(text: str, lines: list[str]) -> tuple[Timing | None, Timing]:
    """The warm-up's line where there is one, and the runs' line, which is the last."""
    counts = [found for line in lines if (found := _COUNT.search(line.strip()))]
    announced = any(_STARTED.search(line) for line in lines)
    ended = any(_SUMMARY.search(line) or _OLD_SUMMARY.search(line) for line in lines)
    if not 1 <= len(counts) <= 2 or (announced and not ended):
        raise _unparsable("The tool's output ends before the result of its runs, or it is no such tool.", text)
    timings = [_timing(found, text) for found in counts]
    if timings[-1] is None:
        message = "The tool ran the model not once, and still called that a success; ask for at least one run."
        raise CaseFailed(Reason.NOTHING_RAN, message, text)
    return (timings[0] if len(timings) == 2 else None), timings[-1]


def _timing(found: re.Match[str], text: str) -> Timing | None:
    """None where nothing ran. One run, or runs that all took the same, print their time as `curr` alone."""
    count = int(found["count"])
    if count == 0:
        return None
    fields = {field["name"]: _number(field["value"], text) for field in _FIELD.finditer(found["rest"])}
    if set(fields) == {"curr"}:
        only = fields["curr"]
        return Timing(count, only, only, only, only, None if count == 1 else 0.0)
    if not {"first", "min", "max", "avg"} <= set(fields):
        raise _unparsable(f"The tool's line {found[0]!r} lacks a number.", text)
    slack = 1 + _PRINTED_PRECISION
    if not fields["min"] / slack <= fields["avg"] <= fields["max"] * slack:
        raise _unparsable(f"The tool contradicts itself: avg is not between min and max in {found[0]!r}.", text)
    return Timing(count, fields["first"], fields["min"], fields["max"], fields["avg"], fields.get("std"))


def _summary(text: str, lines: list[str]) -> tuple[float | None, float | None]:
    """Microseconds of the initialisation, and of a run on average: each None where it was not printed."""
    for line in lines:
        if found := _SUMMARY.search(line) or _OLD_SUMMARY.search(line):
            return _number(found["init"], text), _number(found["avg"], text)
    started = next((found for line in lines if (found := _INITIALIZED.search(line))), None)
    return (_number(started["ms"], text) * 1e3 if started else None), None


def _peak(text: str, lines: list[str]) -> int | None:
    found = next((found for line in lines if (found := _PEAK.search(line) or _OLD_PEAK.search(line))), None)
    return round(_number(found["mb"], text) * MIB) if found else None


def _echoes(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if found := _ECHO.search(line.strip()):
            yield found["name"], found["value"]


def _number(printed: str, text: str) -> float:
    """Of a time or a size: finite, and not under 0."""
    try:
        number = float(printed)
    except ValueError as error:
        raise _unparsable(f"The tool printed {printed!r} where a number belongs.", text) from error
    if not 0 <= number < inf:
        raise _unparsable(f"The tool printed {printed!r} where a time or a size belongs.", text)
    return number
