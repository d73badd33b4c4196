"""What can be looked at on a device while a tool runs, and which of its cores the tool gets: all from its facts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final, Literal, TypeAlias, cast, get_args

PowerKind: TypeAlias = Literal[
    "power_uw", "power_w", "current_ua", "voltage_uv", "current_ma", "voltage_mv", "pmic"
]
Kind: TypeAlias = Literal["temperature", "frequency", "any_frequency", "throttled"] | PowerKind
POWER_KINDS: Final[frozenset[str]] = frozenset(get_args(PowerKind))
MOST_ALIKE: Final = 8  # sensors of one kind that a device is asked for
_COMMAND_S: Final = 5  # a command that hangs must not hold the run up


@dataclass(frozen=True)
class Sensor:
    """`source` is a file's absolute path, or a line of shell after a `!`. What it says, by kind:

    `temperature`: millidegrees Celsius. `frequency`: kHz of a core that the tool uses; `any_frequency`: of one that it
    may use. `throttled`: the Raspberry Pi's flags, in hexadecimal. `power_uw`, `power_w`: in that unit. A current and
    the voltage that follows it make a pair: `current_ua` and `voltage_uv` of a power supply, `current_ma` and
    `voltage_mv` of a hardware monitor. `pmic`: a Raspberry Pi 5's rails, as `vcgencmd pmic_read_adc` prints them.
    """

    kind: Kind
    source: str


@dataclass(frozen=True)
class Policy:
    """Cores that share one clock, as the kernel's cpufreq has them; `folder` is the policy's."""

    folder: str
    cpus: tuple[int, ...]
    max_khz: int


def policies(facts: Mapping[str, str]) -> tuple[Policy, ...]:
    """From the fact `cpufreq`: `FOLDER;NAME CPU,CPU… MAX_KHZ GOVERNOR;…`."""
    folder, *entries = facts.get("cpufreq", "").split(";")
    words = (entry.split() for entry in entries)
    return tuple(
        Policy(f"{folder}/{name}", tuple(int(cpu) for cpu in cpus.split(",")), max_khz=int(max_khz))
        for name, cpus, max_khz, _ in words
    )


def affinity(
    cpus: tuple[int, ...] | Literal["big", "all"], facts: Mapping[str, str], threads: int
) -> tuple[int, ...]:
    """The cores that a tool of so many threads is bound to; () for all, also where the device can't bind.

    `big`: the fastest, and of the next faster where those are too few.
    """
    if cpus == "all":
        return ()
    if cpus == "big":
        return _fastest(facts, threads) if "taskset" in facts else ()
    return cpus


def _fastest(facts: Mapping[str, str], threads: int) -> tuple[int, ...]:
    """At least so many cores, of the highest clocks; () where that is all of them, or there are too few."""
    found = policies(facts)
    clocks = sorted({policy.max_khz for policy in found}, reverse=True)
    for slowest_khz in clocks[:-1]:
        cores = sorted(
            cpu for policy in found if policy.max_khz >= slowest_khz for cpu in policy.cpus
        )
        if len(cores) >= threads:
            return tuple(cores)
    return ()


def sensors_of(
    facts: Mapping[str, str], cpus: tuple[int, ...] = (), power_command: str | None = None
) -> tuple[Sensor, ...]:
    """What to look at while a tool runs on `cpus`, () for all; `power_command` prints watts."""
    temperatures = [
        Sensor("temperature", path) for _, path in _pairs(facts.get("thermal_zones", ""))
    ]
    throttled = (
        [Sensor("throttled", facts["throttle_source"])] if "throttle_source" in facts else []
    )
    found = (*temperatures, *_frequencies(facts, cpus), *throttled, *_power(facts, power_command))
    return tuple(_in_time(sensor) for sensor in found) if "timeout" in facts else found


def power_sensors(sensors: Sequence[Sensor]) -> tuple[Sensor, ...]:
    return tuple(sensor for sensor in sensors if sensor.kind in POWER_KINDS)


def _frequencies(facts: Mapping[str, str], cpus: tuple[int, ...]) -> list[Sensor]:
    """Of the clocks that the tool runs on; where it may be any of many, they would say nothing of it."""
    found = [policy for policy in policies(facts) if not cpus or set(cpus) & set(policy.cpus)]
    kind: Kind = "frequency" if cpus or len(found) == 1 else "any_frequency"
    files = [Sensor(kind, f"{policy.folder}/scaling_cur_freq") for policy in found]
    return files if len(files) <= MOST_ALIKE else []


def _power(facts: Mapping[str, str], command: str | None) -> list[Sensor]:
    if command is not None:
        return [
            Sensor(
                "power_w", f"!{'; '.join(line for line in command.splitlines() if line.strip())}"
            )
        ]
    return [
        Sensor(cast(Kind, kind), source) for kind, source in _pairs(facts.get("power_sensors", ""))
    ]


def _in_time(sensor: Sensor) -> Sensor:
    if not sensor.source.startswith("!"):
        return sensor
    return Sensor(sensor.kind, f"!timeout {_COMMAND_S} sh -c {quote(sensor.source[1:])}")


def _pairs(fact: str) -> list[tuple[str, str]]:
    """Of `name=source;…`, where a source is an absolute path or a command."""
    return re.findall(r"([^;]+?)=([/!][^;]*)", fact)
