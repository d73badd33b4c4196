"""Parser of what a device's sensors showed while a tool ran, and the check before one starts.

The text is kept for ever and can be read by itself. Its first line is `sensors KIND KIND…`. The
other lines come from devices/agent.sh:

- `at UPTIME VALUE VALUE…` for each sample of the sensors. A `-` stands for a sensor that gave
  nothing; commas join the words that a command printed.
- `cpu UPTIME JIFFIES…` before and after the tool, with the numbers of /proc/stat's first line. The
  two lines of the shell's `times` follow.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from statistics import fmean

from harness.bench.facts import (
    BATTERY_COMMAND,
    parse_battery_percent,
    parse_battery_state,
    parse_screen,
)
from harness.bench.readings import (
    POWER_KINDS,
    TEMPERATURE_KINDS,
    find_direction,
    read_clock_khz,
    read_temperature_c,
    read_throttle_flags,
    sum_power_uw,
)
from harness.bench.sensors import Sensor
from harness.core.bench import Gates, SensorSummary

_JIFFIES_PER_S = 100  # USER_HZ, which does not depend on the kernel's own clock (time(7))

# The columns are user, nice, system, idle, iowait, irq, softirq, steal (proc(5)); user includes
# the guests' time.
_IDLE, _IOWAIT = 3, 4
# Under-voltage, clock capped, throttled, soft limit. The higher flags are about the past.
_THROTTLED_NOW = 0b1111
_MIN_POWER_SAMPLES = 2
_MAX_CHARACTERS = 2_000_000  # hours of samples

_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_TIMES = rf"([0-9]{{1,9}})m({_DECIMAL})s ([0-9]{{1,9}})m({_DECIMAL})s\n"
_SAMPLE = re.compile(rf"^at ({_DECIMAL})((?: \S+)*)\n", re.MULTILINE)
_CPU_TIMES = re.compile(
    rf"^cpu ({_DECIMAL})((?: [0-9]{{1,15}}){{8}})(?: [0-9]+)*\n{_TIMES}{_TIMES}", re.MULTILINE
)


def format_header(sensors: Sequence[Sensor]) -> str:
    """Return the first line of a text, which precedes the device's own lines."""
    return " ".join(("sensors", *(sensor.kind for sensor in sensors))) + "\n"


@dataclass(frozen=True)
class Sample:
    """The kind and the value of each sensor at one time."""

    uptime_s: float
    values: tuple[tuple[str, str], ...]

    def select(self, kind: str) -> list[str]:
        """Return the values of the sensors of this kind."""
        return [value for sensor_kind, value in self.values if sensor_kind == kind]


@dataclass(frozen=True)
class CpuTimes:
    """CPU time since the device started, in seconds.

    `total_s` is of all cores, `busy_s` the part that was not idle, `own_s` the harness's own part.
    """

    uptime_s: float
    total_s: float
    busy_s: float
    own_s: float


def summarise_sensors(text: str, runs_s: float | None = None) -> SensorSummary:
    """Return the sensors' numbers for one process.

    Its inferences ran in the last `runs_s` seconds before it ended.
    """
    samples, times = _read_samples(text), read_cpu_times(text)
    during: list[Sample] = []
    running: list[Sample] = []
    if times:
        start_s, end_s = times[0].uptime_s, times[-1].uptime_s
        during = [sample for sample in samples if start_s < sample.uptime_s < end_s]
    if times and runs_s is not None:
        running = [sample for sample in during if sample.uptime_s >= end_s - runs_s]
    temperatures: list[float] = []
    for sample in samples:
        temperatures += _temperatures_c(sample)
    return SensorSummary(
        temperature_c=max(temperatures, default=None),
        frequency_khz=_mean(map(_frequency_khz, during)),
        throttled=_is_throttled(samples),
        busy=_busy_share(times),
        power_uw=_mean_power_uw(running),
    )


def read_idle_power_uw(text: str) -> float | None:
    """Return the average power over all samples of a process that did nothing."""
    return _mean_power_uw(_read_samples(text))


def _read_samples(text: str) -> list[Sample]:
    """Return the complete samples: if a text was cut off, its last line has no end.

    A text that is too long has none.
    """
    if len(text) > _MAX_CHARACTERS:
        return []
    header, _, lines = text.partition("\n")
    kinds = header.split()[1:] if header.startswith("sensors") else []
    samples = []
    for uptime, words in _SAMPLE.findall(lines):
        values = words.split()
        if len(values) == len(kinds):
            samples.append(Sample(float(uptime), tuple(zip(kinds, values, strict=True))))
    return samples


def read_cpu_times(text: str) -> list[CpuTimes]:
    """Return the device's account of its cores' time, right before the tool and right after it."""
    if len(text) > _MAX_CHARACTERS:
        return []
    return [_read_cpu_times(*groups) for groups in _CPU_TIMES.findall(text)]


def _read_cpu_times(uptime: str, jiffies: str, *times: str) -> CpuTimes:
    seconds = [int(number) / _JIFFIES_PER_S for number in jiffies.split()]
    total_s = sum(seconds)
    minutes_and_seconds = zip(times[::2], times[1::2], strict=True)
    return CpuTimes(
        float(uptime),
        total_s,
        busy_s=total_s - seconds[_IDLE] - seconds[_IOWAIT],
        own_s=sum(60 * int(minutes) + float(rest) for minutes, rest in minutes_and_seconds),
    )


def _busy_share(times: Sequence[CpuTimes]) -> float | None:
    """Return the share of all cores' time that others used.

    Time that a hypervisor stole is not idle.
    """
    if len(times) < 2 or (total_s := times[-1].total_s - times[0].total_s) <= 0:
        return None
    others_s = times[-1].busy_s - times[0].busy_s - (times[-1].own_s - times[0].own_s)
    return min(max(others_s / total_s, 0.0), 1.0)


def _temperatures_c(sample: Sample) -> list[float]:
    readings = [(kind, text) for kind, text in sample.values if kind in TEMPERATURE_KINDS]
    return _drop_unknown(read_temperature_c(kind, text) for kind, text in readings)


def _frequency_khz(sample: Sample) -> float | None:
    """Return the clock of the slowest core that the tool uses.

    If the tool may use any core, it is that of the fastest, where the tool will run.
    """
    used_khz = _drop_unknown(map(read_clock_khz, sample.select("frequency")))
    possible_khz = _drop_unknown(map(read_clock_khz, sample.select("any_frequency")))
    return min(used_khz, default=max(possible_khz, default=None))


def _is_throttled(samples: Sequence[Sample]) -> bool | None:
    """Return whether the flags of any sample say that the device slows down now."""
    values: list[str] = []
    for sample in samples:
        values += sample.select("throttled")
    flags = [number for number in map(read_throttle_flags, values) if number is not None]
    return any(number & _THROTTLED_NOW for number in flags) if flags else None


def _mean_power_uw(samples: Sequence[Sample]) -> float | None:
    """Return the average power, or None if a charger was plugged in or out meanwhile."""
    directions: dict[int, set[int]] = {}
    for sample in samples:
        for index, (kind, text) in enumerate(sample.values):
            directions.setdefault(index, set()).add(find_direction(kind, text))
    if any({1, -1} <= seen_directions for seen_directions in directions.values()):
        return None
    return _mean(map(_power_uw, samples), _MIN_POWER_SAMPLES)


def _power_uw(sample: Sample) -> float | None:
    """Return the sum over the power sensors, or None if one of them gave nothing."""
    return sum_power_uw((kind, text) for kind, text in sample.values if kind in POWER_KINDS)


def _drop_unknown(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None], min_count: int = 1) -> float | None:
    numbers = _drop_unknown(values)
    return fmean(numbers) if len(numbers) >= min_count else None


@dataclass(frozen=True)
class Reading:
    """The state of a device before a tool starts; None is unknown.

    `busy` is the share of its cores' time in use, 0 to 1.
    """

    temperature_c: float | None = None
    busy: float | None = None
    throttled: bool | None = None
    battery_percent: int | None = None
    charging: bool | None = None
    screen_on: bool | None = None


def build_reading_script(sensors: Sequence[Sensor], facts: Mapping[str, str]) -> str:
    """Return POSIX shell whose output `parse_reading` parses.

    It takes about a fifth of a second. Its times are all 0: a reading is of one moment.
    """
    kinds = {*TEMPERATURE_KINDS, "throttled"}
    needed = [sensor for sensor in sensors if sensor.kind in kinds]
    has_battery = "android" in facts or "battery" in facts
    lines = (
        f"echo {quote(format_header(needed).strip())}",
        _PRINT_CPU_TIMES,
        "sleep 0.2 || sleep 1",
        _PRINT_CPU_TIMES,
        'set -f; line="at 0"',
        *(_build_sample_command(sensor.source) for sensor in needed),
        'unset IFS; echo "$line"',
        *(("set +f", BATTERY_COMMAND.strip()) if has_battery else ()),
        *(("dumpsys power | grep mWakefulness=",) if "android" in facts else ()),
    )
    return f"LC_ALL=C; export LC_ALL; {{ {'; '.join(lines)}; }} 2>/dev/null"


_PRINT_CPU_TIMES = 'jiffies=; read -r _ jiffies </proc/stat; echo "cpu 0 $jiffies"; times'


def _build_sample_command(source: str) -> str:
    """Return the command that devices/agent.sh has, too."""
    read = (
        f"value=$(sh -c {quote(source[1:])})"
        if source.startswith("!")
        else f"read -r value <{quote(source)}"
    )
    return f'unset IFS; value=; {read}; set -- ${{value:--}}; IFS=,; line="$line $*"'


def parse_reading(text: str) -> Reading:
    summary, battery, screen = (
        summarise_sensors(text),
        parse_battery_state(text),
        parse_screen(text),
    )
    return Reading(
        summary.temperature_c,
        summary.busy,
        throttled=summary.throttled,
        battery_percent=parse_battery_percent(text),
        charging=None if battery is None else battery == "charging",
        screen_on=None if screen is None else screen == "on",
    )


def explain_wait(reading: Reading, gates: Gates) -> str:
    """Return, for people, why no tool may start yet, or an empty string if one may.

    Unknown values stop nothing.
    """
    reasons = []
    if reading.temperature_c is not None and reading.temperature_c > gates.max_temperature_c:
        reasons.append(f"{reading.temperature_c:.3g} °C, over {gates.max_temperature_c:g} °C")
    if reading.busy is not None and reading.busy > gates.max_busy:
        reasons.append(
            f"others use {100 * reading.busy:.3g} % of its CPU time, "
            f"over {100 * gates.max_busy:g} %"
        )
    if reading.battery_percent is not None and reading.battery_percent < gates.min_battery:
        reasons.append(f"battery at {reading.battery_percent} %")
    if reading.screen_on:
        reasons.append("its screen is on")
    if reading.throttled:
        reasons.append("it reports throttling")
    if reading.charging and gates.unplugged:
        reasons.append("it is charging")
    return " and ".join(reasons)
