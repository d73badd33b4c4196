"""Parser of what lce_benchmark_model, of any version, and the Python runner print.

Nothing half-parsed passes: a number that was not printed is None, and a line that contradicts
another is an error. The lines are those of `OnBenchmarkEnd` and `Stat::OutputToStream` in
TensorFlow Lite's `tools/benchmark` and `util/stats_calculator.h`, from 1.13 on, and of LiteRT's
`tools/benchmark_litert_model.h`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, isclose, nan
from types import MappingProxyType

from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason

MIB = 1024 * 1024  # the tool's MB where it reports memory
_QUOTED_CHARACTERS = 100
_PRINTED_PRECISION = 1e-4  # the tool prints six digits
_TWO_DECIMALS_US = 10.0  # the rounding error of milliseconds with two decimals

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "Num threads": "threads",
        "Min num runs": "num_runs",
        "Min warmup runs": "warmup_runs",
        "Min runs duration (seconds)": "min_secs",
        "Max runs duration (seconds)": "max_secs",
        "Min warmup runs duration (seconds)": "warmup_min_secs",
    }
)
"""Echoed name → the protocol's setting. Older versions do not print all of these lines."""

MAX_CHARACTERS = 4_000_000
"""The longest output that is parsed."""

_VALUE = r"[^\s,]+"  # a whole token: half of a number must not pass for a number
_NUMBER = re.compile(r"[0-9.eE+-]{1,40}")  # Python also takes 1_000 and other scripts' digits
_PREFIX = r"(?:.*(?:INFO|\btflite *): )?"  # the tool's own, or that of Android's log
_COUNT = re.compile(rf"^{_PREFIX}count=(?P<count>\S*)(?P<rest>.*)")  # not those of a profile
_FIELD = re.compile(r"(?:^|\s)(?P<name>first|curr|min|max|avg|std|p5|median|p95)=(?P<value>\S*)")
_ALL_SAME = "(all same)"  # follows the time if all runs took equally long
_STARTED = re.compile(r"\bRunning benchmark for at least \d+ iterations")
_PEAK = re.compile(
    r"(?:\bOverall peak memory footprint \(MB\) via periodic monitoring: |\bPeak memory: +|"
    r"\[Overall\] - Memory usage: max resident set size = )(?P<mb>\S+)"
)
_RESIDENT = re.compile(r"- VmRSS +: (?P<mb>\S+) MB")
_ECHO = re.compile(rf"^{_PREFIX}(?P<name>[A-Z#][^:\[\]]*?): \[(?P<value>.*)$")
_UNCONSUMED = re.compile(r"\bUnconsumed cmdline flags: (?P<flags>.+)")

# Lines that repeat numbers of other lines: the pattern, the microseconds of its unit, and its
# rounding error. The most exact come last.
_SUMMARY_LINES = (
    (re.compile(rf"\bModel initialization: +(?P<init>{_VALUE}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bWarmup \(first\): +(?P<first>{_VALUE}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bWarmup \(avg\): +(?P<warmup>{_VALUE}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(rf"\bInference \(avg\): +(?P<average>{_VALUE}) ms"), 1e3, _TWO_DECIMALS_US),
    (re.compile(r"\bInitialized session in (?P<init>\S*?)ms"), 1e3, 0.0),
    (
        re.compile(
            rf"\bAverage inference timings in us: Warmup: (?P<warmup>{_VALUE}), "
            rf"Init: (?P<init>{_VALUE}), (?:no stats|Inference): (?P<average>{_VALUE})"
        ),
        1.0,
        0.0,
    ),
    (
        re.compile(
            rf"\bInference timings in us: Init: (?P<init>{_VALUE})"
            rf"(?:, First inference: (?P<first>{_VALUE}))?"
            rf"(?:, Warmup \(avg\): (?P<warmup>{_VALUE}))?.{{0,200}}"
            rf", Inference \(avg\): (?P<average>{_VALUE})"
        ),
        1.0,
        0.0,
    ),
)


def parse_log(text: str) -> ToolLog:
    """Return the numbers that one process of the tool printed.

    Raises CaseFailed with the reason unparsable, nothing_ran, or, for a flag that the tool does not
    know, echo_mismatch.
    """
    if len(text) > MAX_CHARACTERS:
        raise _unparsable("The tool printed too much; use a released tool.", text)
    # A last line without its end may lack half of its number.
    lines = text[: text.rfind("\n") + 1].splitlines()
    if unknown := _search_lines(_UNCONSUMED, lines):
        message = (
            f"The tool does not know {shorten(unknown['flags'])}; use another version of the tool."
        )
        raise CaseFailed(Reason.ECHO_MISMATCH, message, log=text)
    repeats = _read_summary_lines(lines, text)
    warmup, inference = _read_timings(lines, text=text, has_average="average" in repeats)
    expected = {name: times[-1][0] for name, times in repeats.items()}
    expected["average"] = inference.avg_us
    if warmup:
        expected |= {"first": warmup.first_us, "warmup": warmup.avg_us}
    _check_repeats(repeats, expected, text=text)
    return ToolLog(
        inference,
        warmup,
        init_us=expected.get("init"),
        peak_memory_bytes=_read_memory(_PEAK, lines, text=text),
        resident_memory_bytes=_read_memory(_RESIDENT, lines, text=text),
        echo=_read_echoes(lines, text),
    )


def shorten(text: str) -> str:
    """Return the beginning of a text that is too long for a sentence."""
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"


def quote(text: str) -> str:
    return repr(shorten(text))


def _search_lines(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := pattern.search(line))), None)


def _unparsable(message: str, text: str) -> CaseFailed:
    return CaseFailed(Reason.UNPARSABLE, message, log=text)


def _read_summary_lines(lines: Sequence[str], text: str) -> dict[str, list[tuple[float, float]]]:
    """Return, by name, the microseconds and the rounding error of each time that a line repeats."""
    repeats: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pattern, unit_us, rounding_us in _SUMMARY_LINES:
        for match in filter(None, map(pattern.search, lines)):
            for name, printed in match.groupdict().items():
                if printed is not None:
                    repeats[name].append((_parse_number(printed, text) * unit_us, rounding_us))
    return dict(repeats)


def _check_repeats(
    repeats: dict[str, list[tuple[float, float]]], expected: dict[str, float], text: str
) -> None:
    for name, times in repeats.items():
        for us, rounding_us in times:
            if not isclose(us, expected[name], rel_tol=_PRINTED_PRECISION, abs_tol=rounding_us):
                raise _unparsable(
                    f"The tool contradicts itself: it prints {expected[name]:g} µs "
                    f"and {us:g} µs for {name!r}.",
                    text,
                )


def _read_timings(
    lines: Sequence[str], text: str, *, has_average: bool
) -> tuple[Timing | None, Timing]:
    """Return the timings of the warm-up, if it has a line, and of the runs, whose line is the last.

    `has_average` says whether a line repeated the average, as it does when the runs have ended.
    """
    counts = [match for line in lines if (match := _COUNT.search(line.strip()))]
    if not 1 <= len(counts) <= 2 or (_search_lines(_STARTED, lines) and not has_average):
        raise _unparsable(
            "The tool's output lacks the result of its runs: "
            "it was cut off, or another program printed it.",
            text,
        )
    timings = [_read_timing(match, text) for match in counts]
    if timings[-1] is None:
        message = "The tool ended well without running the model; ask for at least one run."
        raise CaseFailed(Reason.NOTHING_RAN, message, log=text)
    return (timings[0] if len(timings) == 2 else None), timings[-1]


def _read_timing(match: re.Match[str], text: str) -> Timing | None:
    """Return the timing of one line, or None if nothing ran.

    One run, or runs that all took equally long, print their time as `curr` alone.
    """
    if not re.fullmatch(r"\d{1,12}", match["count"]):
        raise _unparsable(f"The tool printed {quote(match['count'])} instead of a count.", text)
    count = int(match["count"])
    if count == 0:
        return None
    printed = _FIELD.findall(match["rest"].replace(_ALL_SAME, ""))
    fields = {name: _parse_number(value, text) for name, value in printed}
    if len(fields) < len(printed):
        raise _unparsable(
            f"The tool contradicts itself: a number appears twice in {quote(match[0])}.", text
        )
    if fields.keys() - {"p5", "median", "p95"} == {"curr"}:
        fields |= dict.fromkeys(("first", "min", "max", "avg"), fields["curr"])
        fields |= {"std": 0.0} if count > 1 else {}
    if not {"first", "min", "max", "avg"} <= fields.keys():
        raise _unparsable(f"The tool's line {quote(match[0])} lacks a number.", text)
    if not _is_ordered(fields) or (count == 1 and fields["min"] < fields["max"]):
        raise _unparsable(
            f"The tool contradicts itself: a number is out of order in {quote(match[0])}.", text
        )
    required = (fields[name] for name in ("first", "min", "max", "avg"))
    return Timing(count, *required, *map(fields.get, ("std", "p5", "median", "p95")))


def _is_ordered(fields: dict[str, float]) -> bool:
    if fields.get("std", 0.0) > fields["max"] - fields["min"] + 1:  # std is in whole microseconds
        return False
    chains = (
        ("min", "p5", "median", "p95", "max"),
        ("min", "first", "max"),
        ("min", "curr", "max"),
        ("min", "avg", "max"),
    )
    return all(_is_ascending(fields, chain) for chain in chains)


def _is_ascending(fields: dict[str, float], chain: Sequence[str]) -> bool:
    printed = [fields[name] for name in chain if name in fields]
    return all(low <= high * (1 + _PRINTED_PRECISION) for low, high in pairwise(printed))


def _read_memory(pattern: re.Pattern[str], lines: Sequence[str], text: str) -> int | None:
    matches = filter(None, map(pattern.search, lines))
    sizes_mb = {_parse_number(match["mb"], text) for match in matches}
    if len(sizes_mb) > 1:
        raise _unparsable(
            "The tool contradicts itself: "
            f"it prints {min(sizes_mb):g} MB and {max(sizes_mb):g} MB of memory.",
            text,
        )
    return round(sizes_mb.pop() * MIB) if sizes_mb else None


def _read_echoes(lines: Sequence[str], text: str) -> dict[str, str]:
    """Return the echoed parameters that have one value.

    With `--verbose=true`, each delegate prints parameters of its own, and their names may coincide.
    """
    echoes: dict[str, set[str]] = defaultdict(set)
    for line in map(str.strip, lines):
        if line.endswith("]") and (match := _ECHO.search(line)):
            echoes[match["name"].rstrip()].add(match["value"].removesuffix("]"))
    for name in SETTINGS:
        if len(values := sorted(echoes[name])) > 1:
            raise _unparsable(
                f"The tool contradicts itself: it prints {name} {quote(values[0])} "
                f"and {quote(values[1])}.",
                text,
            )
    return {name: values.pop() for name, values in echoes.items() if len(values) == 1}


def _parse_number(printed: str, text: str) -> float:
    """Return a time or a size: finite, and not negative."""
    try:
        number = float(printed) if _NUMBER.fullmatch(printed) else nan
    except ValueError:
        number = nan
    if not 0 <= number < inf:
        raise _unparsable(f"The tool printed {quote(printed)} instead of a time or a size.", text)
    return number
