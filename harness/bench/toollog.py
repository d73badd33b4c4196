"""What lce_benchmark_model and the Python runner print, of any version → numbers.

Nothing half-parsed passes: a number that was not printed is None, a line that contradicts another is an error. The
lines are those of `OnBenchmarkEnd` and `Stat::OutputToStream` in TensorFlow Lite's `tools/benchmark` and
`util/stats_calculator.h`, from 1.13 on, and of LiteRT's `tools/benchmark_litert_model.h`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import inf, isclose

from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason

MIB = 1024 * 1024  # what the tool calls MB where it speaks of memory
_PRINTED_PRECISION = 1e-4  # the tool prints six digits
_TWO_DECIMALS_US = 10.0  # by how much milliseconds with two decimals may differ from microseconds

_N = r"[^\s,]+"  # what stands where a number belongs: half a number is none
_BY = (
    r"(?:.*(?:INFO|\btflite *): )?"  # the tool's own word, or what Android's log puts before a line
)
_COUNT = re.compile(
    rf"^{_BY}count=(?P<count>\S*)(?P<rest>.*)"
)  # a profile's count lines start otherwise
_FIELD = re.compile(r"(?:^|\s)(?P<name>first|curr|min|max|avg|std|p5|median|p95)=(?P<value>\S*)")
_ALL_SAME = "(all same)"  # behind the time of runs that all took as long
_STARTED = re.compile(r"\bRunning benchmark for at least \d+ iterations")
_PEAK = re.compile(
    r"(?:\bOverall peak memory footprint \(MB\) via periodic monitoring: |\bPeak memory: +|"
    r"\[Overall\] - Memory usage: max resident set size = )(?P<mb>\S+)"
)
_RESIDENT = re.compile(r"- VmRSS +: (?P<mb>\S+) MB")
_ECHO = re.compile(rf"^{_BY}(?P<name>[A-Z#][^:\[\]]*?): \[(?P<value>.*)\]$")
_UNCONSUMED = re.compile(r"\bUnconsumed cmdline flags: (?P<flags>.+)")

# Lines that tell again what others told: the microseconds of their unit, and by how many they round. Most exact last.
_TELLERS = (
    (re.compile(rf"\bModel initialization: +(?P<init>{_N}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bWarmup \(first\): +(?P<first>{_N}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bWarmup \(avg\): +(?P<warmup>{_N}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bInference \(avg\): +(?P<average>{_N}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(r"\bInitialized session in (?P<init>\S*?)ms"), 1e3, 0.0),
    (
        re.compile(
            rf"\bAverage inference timings in us: Warmup: (?P<warmup>{_N}), Init: (?P<init>{_N}), "
            rf"(?:no stats|Inference): (?P<average>{_N})"
        ),
        1.0,
        0.0,
    ),
    (
        re.compile(
            rf"\bInference timings in us: Init: (?P<init>{_N})(?:, First inference: (?P<first>{_N}))?"
            rf"(?:, Warmup \(avg\): (?P<warmup>{_N}))?.*, Inference \(avg\): (?P<average>{_N})"
        ),
        1.0,
        0.0,
    ),
)


def parse(text: str) -> ToolLog:
    """The numbers of one process.

    Raises CaseFailed: unparsable, nothing_ran, or echo_mismatch for a flag it did not know.
    """
    lines = text[
        : text.rfind("\n") + 1
    ].splitlines()  # a line without its end may lack half of its number
    if unknown := _first(_UNCONSUMED, lines):
        message = f"The tool does not know {unknown['flags']}: take a tool of another version."
        raise CaseFailed(Reason.ECHO_MISMATCH, message, log=text)
    told = _told(lines, text)
    warmup, inference = _series(lines, "average" in told, text=text)
    expected = {name: times[-1][0] for name, times in told.items()} | {"average": inference.avg_us}
    if warmup:
        expected |= {"first": warmup.first_us, "warmup": warmup.avg_us}
    _hold_against(expected, told, text=text)
    return ToolLog(
        inference,
        warmup,
        init_us=expected.get("init"),
        peak_memory_bytes=_bytes(_PEAK, lines, text=text),
        resident_memory_bytes=_bytes(_RESIDENT, lines, text=text),
        echo=_echoes(lines, text),
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((found for line in lines if (found := pattern.search(line))), None)


def _unparsable(message: str, text: str) -> CaseFailed:
    return CaseFailed(Reason.UNPARSABLE, message, log=text)


def _told(lines: Sequence[str], text: str) -> dict[str, list[tuple[float, float]]]:
    """By name, each time that a line tells it: microseconds, and by how many they are rounded."""
    told: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pattern, unit_us, rounded_us in _TELLERS:
        for found in filter(None, map(pattern.search, lines)):
            for name, printed in found.groupdict().items():
                if printed is not None:
                    told[name].append((_number(printed, text) * unit_us, rounded_us))
    return dict(told)


def _hold_against(
    expected: dict[str, float], told: dict[str, list[tuple[float, float]]], text: str
) -> None:
    for name, times in told.items():
        for us, rounded_us in times:
            if not isclose(us, expected[name], rel_tol=_PRINTED_PRECISION, abs_tol=rounded_us):
                raise _unparsable(
                    f"The tool contradicts itself: {name} {expected[name]:g}, and again {us:g} µs.",
                    text,
                )


def _series(lines: Sequence[str], ended: bool, text: str) -> tuple[Timing | None, Timing]:
    """The warm-up's line where there is one, and the runs' line, which is the last."""
    counts = [found for line in lines if (found := _COUNT.search(line.strip()))]
    if not 1 <= len(counts) <= 2 or (_first(_STARTED, lines) and not ended):
        raise _unparsable(
            "The tool's output ends before the result of its runs, or it is no such tool.", text
        )
    timings = [_timing(found, text) for found in counts]
    if timings[-1] is None:
        message = "The tool ran the model not once, and still called that a success; ask for at least one run."
        raise CaseFailed(Reason.NOTHING_RAN, message, log=text)
    return (timings[0] if len(timings) == 2 else None), timings[-1]


def _timing(found: re.Match[str], text: str) -> Timing | None:
    """None where nothing ran. One run, or runs that all took the same, print their time as `curr` alone."""
    if not re.fullmatch(r"\d{1,12}", found["count"]):
        raise _unparsable(f"The tool printed {found['count']!r} where a count belongs.", text)
    count = int(found["count"])
    if count == 0:
        return None
    printed = _FIELD.findall(found["rest"].replace(_ALL_SAME, ""))
    fields = {name: _number(value, text) for name, value in printed}
    if len(fields) < len(printed):
        raise _unparsable(
            f"The tool contradicts itself: a number stands twice in {found[0]!r}.", text
        )
    if fields.keys() - {"p5", "median", "p95"} == {"curr"}:
        fields |= dict.fromkeys(("first", "min", "max", "avg"), fields["curr"])
        fields |= {"std": 0.0} if count > 1 else {}
    if not {"first", "min", "max", "avg"} <= fields.keys():
        raise _unparsable(f"The tool's line {found[0]!r} lacks a number.", text)
    if not _in_order(fields) or (count == 1 and fields["min"] < fields["max"]):
        raise _unparsable(
            f"The tool contradicts itself: a number is out of order in {found[0]!r}.", text
        )
    required = (fields[name] for name in ("first", "min", "max", "avg"))
    return Timing(count, *required, *map(fields.get, ("std", "p5", "median", "p95")))


def _in_order(fields: dict[str, float]) -> bool:
    spread = fields["max"] - fields["min"]
    if fields.get("std", 0.0) > spread + 1:  # it is whole microseconds
        return False
    chains = (
        ("min", "p5", "median", "p95", "max"),
        *(("min", name, "max") for name in ("first", "curr", "avg")),
    )
    printed = ([fields[name] for name in chain if name in fields] for chain in chains)
    return all(
        low <= high * (1 + _PRINTED_PRECISION) for chain in printed for low, high in pairwise(chain)
    )


def _bytes(pattern: re.Pattern[str], lines: Sequence[str], text: str) -> int | None:
    told = {_number(found["mb"], text) for found in filter(None, map(pattern.search, lines))}
    if len(told) > 1:
        raise _unparsable(
            f"The tool contradicts itself: {min(told):g} MB of memory, and {max(told):g}.", text
        )
    return round(told.pop() * MIB) if told else None


def _echoes(lines: Sequence[str], text: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for found in filter(None, (_ECHO.search(line.strip()) for line in lines)):
        if told.setdefault(found["name"], found["value"]) != found["value"]:
            raise _unparsable(
                f"The tool contradicts itself: {found['name']} [{told[found['name']]}], and {found[0]}.",
                text,
            )
    return told


def _number(printed: str, text: str) -> float:
    """Of a time or a size: finite, and not under 0."""
    try:
        number = float(printed)
    except ValueError as error:
        raise _unparsable(f"The tool printed {printed!r} where a number belongs.", text) from error
    if not 0 <= number < inf:
        raise _unparsable(f"The tool printed {printed!r} where a time or a size belongs.", text)
    return number
