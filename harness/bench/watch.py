"""What a device's sensors said while a tool ran, and whether one may start at all.

The text is kept for ever, and can be read by itself: a line `sensors KIND KIND…`, then what devices/agent.sh tells:
`at UPTIME VALUE VALUE…` for each look at the sensors (`-` where one said nothing, commas between a command's words),
and around the tool `cpu UPTIME JIFFIES…`, with the numbers of /proc/stat's first line, and the two lines of `times`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from shlex import quote
from statistics import fmean

from harness.bench.facts import battery_percent, battery_state, screen
from harness.bench.sensors import Sensor
from harness.core.bench import Gates, SensorSummary
from harness.core.units import parse_degrees_c

_JIFFIES_PER_S = 100  # USER_HZ: the kernel's word to programs, whatever its own clock is (time(7))
_IDLE, _IOWAIT = (
    3,
    4,
)  # of user, nice, system, idle, iowait, irq, softirq, steal (proc(5)); guests' time is in user
_THROTTLED_NOW = (
    0b1111  # under-voltage, clock capped, throttled, soft limit; the higher flags tell of the past
)
_LEAST_SAMPLES = 2
_POWER_UW: tuple[tuple[tuple[str, ...], float], ...] = (
    (("power_uw",), 1.0),
    (("power_w",), 1e6),
    (("current_ua", "voltage_uv"), 1e-6),
    (("current_ma", "voltage_mv"), 1.0),
)

_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_TIMES = rf"([0-9]{{1,9}})m({_DECIMAL})s ([0-9]{{1,9}})m({_DECIMAL})s\n"
_SAMPLE = re.compile(rf"^at ({_DECIMAL})((?: \S+)*)\n", re.MULTILINE)
_COUNT = re.compile(
    rf"^cpu ({_DECIMAL})((?: [0-9]{{1,15}}){{8}})(?: [0-9]+)*\n{_TIMES}{_TIMES}", re.MULTILINE
)
_NUMBER = re.compile(rf"(-?{_DECIMAL}(?:[eE][-+]?[0-9]{{1,2}})?)(?:,?[Ww](?:atts?)?)?")
_RAIL = re.compile(rf"(\w+)_([AV]),(?:current|volt)\([0-9]+\)=({_DECIMAL})[AV]")


def header(sensors: Sequence[Sensor]) -> str:
    """The first line, which goes in front of what the device tells."""
    return " ".join(("sensors", *(sensor.kind for sensor in sensors))) + "\n"


@dataclass(frozen=True)
class Sample:
    """One look at the sensors: each one's kind, and what it said."""

    uptime_s: float
    said: tuple[tuple[str, str], ...]

    def of(self, kind: str) -> list[str]:
        return [value for name, value in self.said if name == kind]

    def numbers(self, kind: str) -> list[float | None]:
        return [
            float(found[1]) if (found := _NUMBER.fullmatch(value)) else None
            for value in self.of(kind)
        ]


@dataclass(frozen=True)
class Count:
    """CPU time since the device started, in seconds: all cores', what of it was not idle, and what of that is ours."""

    uptime_s: float
    total_s: float
    busy_s: float
    own_s: float


def watched(text: str, runs_s: float | None = None) -> SensorSummary:
    """What the sensors say of one process, whose inferences ran in the last `runs_s` seconds before it ended."""
    samples, times = _samples(text), counts(text)
    during = [
        one for one in samples if times and times[0].uptime_s < one.uptime_s < times[-1].uptime_s
    ]
    running = [
        one for one in during if runs_s is not None and one.uptime_s >= times[-1].uptime_s - runs_s
    ]
    temperatures = [
        degrees for sample in samples for degrees in parse_degrees_c(sample.of("temperature"))
    ]
    return SensorSummary(
        temperature_c=max(temperatures, default=None),
        frequency_khz=_mean([_frequency_khz(sample) for sample in during]),
        throttled=_throttled(samples),
        busy=_busy(times),
        power_uw=_mean([_power_uw(sample) for sample in running], _LEAST_SAMPLES),
    )


def idle_power_uw(text: str) -> float | None:
    """The average over all samples, for a process that did nothing."""
    return _mean([_power_uw(sample) for sample in _samples(text)], _LEAST_SAMPLES)


def _samples(text: str) -> list[Sample]:
    """Those that are whole: the last line of a text that was cut has no end."""
    first, _, rest = text.partition("\n")
    kinds = first.split()[1:] if first.startswith("sensors") else []
    found = [(float(uptime), values.split()) for uptime, values in _SAMPLE.findall(rest)]
    return [
        Sample(at, tuple(zip(kinds, values, strict=True)))
        for at, values in found
        if len(values) == len(kinds)
    ]


def counts(text: str) -> list[Count]:
    """The device's account of its cores' time, right before the tool and right after it."""
    found = []
    for uptime, jiffies, *times in _COUNT.findall(text):
        spent_s = [int(number) / _JIFFIES_PER_S for number in jiffies.split()]
        own_s = sum(
            60 * int(minutes) + float(seconds)
            for minutes, seconds in zip(times[::2], times[1::2], strict=True)
        )
        found.append(
            Count(
                float(uptime),
                sum(spent_s),
                busy_s=sum(spent_s) - spent_s[_IDLE] - spent_s[_IOWAIT],
                own_s=own_s,
            )
        )
    return found


def _busy(times: Sequence[Count]) -> float | None:
    """The share of all cores' time that others used. Time that a hypervisor stole is not idle."""
    if len(times) < 2 or (total_s := times[-1].total_s - times[0].total_s) <= 0:
        return None
    others_s = times[-1].busy_s - times[0].busy_s - (times[-1].own_s - times[0].own_s)
    return min(max(others_s / total_s, 0.0), 1.0)


def _frequency_khz(sample: Sample) -> float | None:
    """The slowest core that the tool uses; where it may be any, the fastest, as that will be the one."""
    used, any_of = (
        [khz for khz in sample.numbers(kind) if khz is not None]
        for kind in ("frequency", "any_frequency")
    )
    return min(used, default=max(any_of, default=None))


def _throttled(samples: Sequence[Sample]) -> bool | None:
    """From `0x50005`, `throttled=0x50005` or, in the kernel's file, `50005`."""
    words = [
        re.fullmatch("(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", one)
        for s in samples
        for one in s.of("throttled")
    ]
    flags = [int(word[1], 16) for word in words if word]
    return any(one & _THROTTLED_NOW for one in flags) if flags else None


def _power_uw(sample: Sample) -> float | None:
    """The sum over its power sensors; None where one of them said nothing."""
    parts = [_rails_uw(said) for said in sample.of("pmic")]
    for kinds, factor in _POWER_UW:
        for numbers in zip(*(sample.numbers(kind) for kind in kinds), strict=False):
            known = [number for number in numbers if number is not None]
            parts.append(abs(prod(known)) * factor if len(known) == len(kinds) else None)
    found = [part for part in parts if part is not None]
    return sum(found) if found and len(found) == len(parts) else None


def _rails_uw(said: str) -> float | None:
    """From lines such as `3V3_SYS_A current(1)=0.0654A` and `3V3_SYS_V volt(9)=3.31V`, joined by commas."""
    rails: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, unit, number in _RAIL.findall(said):
        rails[unit][rail] = float(number)
    products = [
        1e6 * amperes * rails["V"][rail]
        for rail, amperes in rails["A"].items()
        if rail in rails["V"]
    ]
    return sum(products) if products else None


def _mean(values: Iterable[float | None], least: int = 1) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) >= least else None


@dataclass(frozen=True)
class Reading:
    """How a device is before a tool starts; None is unknown. `busy`: the share of its cores' time in use, 0 to 1."""

    temperature_c: float | None = None
    busy: float | None = None
    throttled: bool | None = None
    battery_percent: int | None = None
    charging: bool | None = None
    screen_on: bool | None = None


def reading_script(sensors: Sequence[Sensor], facts: Mapping[str, str]) -> str:
    """POSIX shell that tells what `read_reading` reads; it takes about a fifth of a second."""
    looked_at = [sensor for sensor in sensors if sensor.kind in ("temperature", "throttled")]
    lines = (
        f"echo {quote(header(looked_at).strip())}",
        _TELL_TIME,
        "sleep 0.2 || sleep 1",
        _TELL_TIME,
        'set -f; line="at $up"',
        *(_look(sensor.source) for sensor in looked_at),
        'unset IFS; echo "$line"',
        *(("dumpsys battery", "dumpsys power | grep mWakefulness=") if "android" in facts else ()),
    )
    return f"{{ {'; '.join(lines)}; }} 2>/dev/null"


_TELL_TIME = (
    'read -r up _ </proc/uptime; read -r _ jiffies </proc/stat; echo "cpu $up $jiffies"; times'
)


def _look(source: str) -> str:
    """As in devices/agent.sh."""
    get = (
        f"value=$(sh -c {quote(source[1:])})"
        if source.startswith("!")
        else f"read -r value <{quote(source)}"
    )
    return f'unset IFS; value=; {get}; set -- ${{value:--}}; IFS=,; line="$line $*"'


def read_reading(text: str) -> Reading:
    seen, state, shown = watched(text), battery_state(text), screen(text)
    return Reading(
        seen.temperature_c,
        seen.busy,
        throttled=seen.throttled,
        battery_percent=battery_percent(text),
        charging=None if state is None else state == "charging",
        screen_on=None if shown is None else shown == "on",
    )


def why_not(reading: Reading, gates: Gates) -> str:
    """Why no tool may start now, in words for people; empty where one may. What is unknown stops nothing."""
    words = []
    if reading.temperature_c is not None and reading.temperature_c > gates.max_temperature_c:
        words.append(f"{reading.temperature_c:.3g} °C, over {gates.max_temperature_c:g} °C")
    if reading.busy is not None and reading.busy > gates.max_busy:
        words.append(
            f"others use {100 * reading.busy:.3g} % of its CPU time, over {100 * gates.max_busy:g} %"
        )
    if reading.battery_percent is not None and reading.battery_percent < gates.min_battery:
        words.append(f"battery at {reading.battery_percent} %")
    if reading.screen_on:
        words.append("its screen is on")
    if reading.throttled:
        words.append("it says that it is throttled")
    if reading.charging and gates.unplugged:
        words.append("it is charging")
    return " and ".join(words)
