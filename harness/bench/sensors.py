"""A device's sensors, and the cores that its tool runs on: both follow from the device's facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final, Literal, TypeAlias, cast

from harness.bench.cores import group_by_speed, list_online, read_policies
from harness.bench.readings import POWER_KINDS, TEMPERATURE_KINDS, PowerKind, TemperatureKind

Kind: TypeAlias = TemperatureKind | Literal["frequency", "any_frequency", "throttled"] | PowerKind
MAX_CLOCKS: Final = 8
_COMMAND_TIMEOUT_S: Final = 5  # a command that hangs must not delay the run


@dataclass(frozen=True)
class Sensor:
    """A source of numbers: a file's absolute path, or a line of shell after a `!`.

    Its kind decides what it prints:

    - `temperature`: thousandths of a degree Celsius; `temperature_tenth_c`, `temperature_c`:
      tenths or whole degrees.
    - `frequency`: kHz of a core that the tool uses; `any_frequency`: of one that it may use.
    - `throttled`: the Raspberry Pi's flags, in hexadecimal.
    - `power_uw`, `power_mw`, `power_w`: power in that unit.
    - `current_ua`, `current_ma` and `voltage_uv`, `voltage_mv`: a current and the voltage that
      follows it make a pair.
    - `pmic`: a Raspberry Pi 5's rails, as `vcgencmd pmic_read_adc` prints them.
    """

    kind: Kind
    source: str


def choose_cpus(
    cpus: tuple[int, ...] | Literal["big", "all"], facts: Mapping[str, str], threads: int
) -> tuple[int, ...]:
    """Return the cores that a tool with so many threads is bound to.

    `big` means the fastest cores, and the next faster ones if those are too few. An empty tuple
    means all cores, also on a device that cannot bind. Cores that are off are never chosen.
    """
    if cpus == "all":
        return ()
    if cpus == "big":
        return _fastest_cpus(facts, threads) if "taskset" in facts else ()
    return cpus


def find_cpus_off(cpus: Sequence[int], facts: Mapping[str, str]) -> tuple[int, ...]:
    """Return those of the cores that are off, or that the device lacks."""
    online = list_online(facts)
    return tuple(cpu for cpu in cpus if online and cpu not in online)


def _fastest_cpus(facts: Mapping[str, str], threads: int) -> tuple[int, ...]:
    """Return at least so many of the fastest cores.

    The result is empty if that means all cores, or if there are too few.
    """
    cpus: set[int] = set()
    for group in group_by_speed(facts)[:-1]:
        cpus |= group
        if len(cpus) >= threads:
            return tuple(sorted(cpus))
    return ()


def find_sensors(
    facts: Mapping[str, str], cpus: tuple[int, ...] = (), power_command: str | None = None
) -> tuple[Sensor, ...]:
    """Return the sensors to read while a tool runs on `cpus`; an empty tuple means all cores.

    `power_command` prints watts.
    """
    zones = _parse_sources(facts.get("thermal_zones", ""))
    temperatures = [Sensor(_temperature_kind(name), path) for name, path in zones]
    throttled = (
        [Sensor("throttled", facts["throttle_source"])] if "throttle_source" in facts else []
    )
    sensors = (
        *temperatures,
        *_find_clocks(facts, cpus),
        *throttled,
        *_find_power_sensors(facts, power_command),
    )
    return tuple(map(_limit_time, sensors)) if "timeout" in facts else sensors


def select_power_sensors(sensors: Sequence[Sensor]) -> tuple[Sensor, ...]:
    return tuple(sensor for sensor in sensors if sensor.kind in POWER_KINDS)


def _find_clocks(facts: Mapping[str, str], cpus: tuple[int, ...]) -> list[Sensor]:
    """Return the clocks that the tool runs on.

    The result is empty if there are too many candidates: their clocks would say nothing about it.
    """
    policies = [
        policy for policy in read_policies(facts) if not cpus or set(cpus) & set(policy.cpus)
    ]
    kind: Kind = "frequency" if cpus or len(policies) == 1 else "any_frequency"
    clocks = [Sensor(kind, f"{policy.folder}/scaling_cur_freq") for policy in policies]
    return clocks if len(clocks) <= MAX_CLOCKS else []


def _find_power_sensors(facts: Mapping[str, str], command: str | None) -> list[Sensor]:
    if command is not None:
        lines = (line for line in command.splitlines() if line.strip())
        return [Sensor("power_w", f"!{'; '.join(lines)}")]
    sources = _parse_sources(facts.get("power_sensors", ""))
    return [Sensor(cast(Kind, kind), source) for kind, source in sources]


def _limit_time(sensor: Sensor) -> Sensor:
    if not sensor.source.startswith("!"):
        return sensor
    return Sensor(sensor.kind, f"!timeout {_COMMAND_TIMEOUT_S} sh -c {quote(sensor.source[1:])}")


def _temperature_kind(zone: str) -> Kind:
    """Return the kind after the zone's type; a type alone is one in the kernel's own unit."""
    kind = zone.rpartition(" ")[2]
    return cast(Kind, kind) if kind in TEMPERATURE_KINDS else "temperature"


def _parse_sources(fact: str) -> list[tuple[str, str]]:
    """Parse `name=source;…`, where a source is an absolute path or a command."""
    pairs = []
    for entry in fact.split(";"):
        name, _, source = entry.partition("=")
        if name and source.startswith(("/", "!")):
            pairs.append((name, source))
    return pairs
