"""The facts about a device's own sensors: which are believed, in which unit, and which are not.

Each fact is a command in POSIX shell and a pure parser of its output.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.bench.readings import (
    COLDEST_C,
    POWER_KINDS,
    TOO_HOT_C,
    find_battery_kind,
    find_temperature_kind,
    find_voltage_kind,
    read_temperature_c,
    read_volts,
    sum_power_uw,
)

MAX_TEMPERATURES = 256
_MAX_NAMES = 3
_MAX_NAME = 30

# A tree of plain files may stand in for the kernel's.
SYSFS = '"${HARNESS_SYSFS:-/sys}"'

THERMAL_COMMAND = f"""
for zone in {SYSFS}/class/thermal/thermal_zone*; do
    value=''
    read -r type <"$zone/type" || continue
    read -r value <"$zone/temp"
    echo "$type=$zone/temp ${{value:--}}"
done"""
_ZONE = re.compile(r"(.{1,100})=(/.{1,1000}/temp) (.{1,100})")
# What separates the entries of a fact
_SEPARATOR = re.compile(r"[;=\s]+")
_CPU_TYPE = re.compile("cpu|pkg|package|big|little|gold|silver|prime|cluster|core|tsens", re.I)
_CHIP_TYPE = re.compile("soc|bcm", re.I)
# Other parts of a device: their temperatures say little about its cores. On Qualcomm's kernels,
# `soc` and `socd` are the battery's state of charge.
_OTHER_TYPE = re.compile(
    "gpu|batt|bms|charg|chg|skin|pm[a-z]?[0-9]|pmic|wifi|wlan|modem|usb|ddr|nvme|quiet|case|cam"
    "|board|ambient|flash|emmc|ufs|lcd|disp|_pa|pa_|xo_|_xo|socd|^soc$",
    re.I,
)
_ZONE_FAMILY = re.compile("[0-9]+")


@dataclass(frozen=True)
class ThermalZone:
    """A thermal zone of the kernel: its type, its file, and what it read in which unit.

    `kind` is None if the reading is not believed in any unit.
    """

    type: str
    file: str
    reading: str
    kind: str | None

    @property
    def temperature_c(self) -> float | None:
        """The temperature in °C, or None if it is not believed."""
        return None if self.kind is None else read_temperature_c(self.kind, self.reading)


def parse_temperature_c(text: str) -> str | None:
    """Return the temperature of the hottest zone that is watched."""
    degrees = [zone.temperature_c or 0.0 for zone in _select_watched(text)]
    return f"{max(degrees):g}" if degrees else None


def parse_thermal_zones(text: str) -> str | None:
    """Return `TYPE=FILE;…` of the zones to watch, with the kind after TYPE if it is special."""
    entries = (
        f"{zone.type}{'' if zone.kind == 'temperature' else f' {zone.kind}'}={zone.file}"
        for zone in _select_watched(text)
    )
    return ";".join(entries) or None


def parse_temperature_doubts(text: str) -> str | None:
    """Return the zones of the cores that are not believed, and the reason."""
    doubts: dict[str, list[str]] = defaultdict(list)
    for zone in _read_core_zones(text):
        if zone.reading == "-":
            doubts["can't be read"].append(zone.type)
        elif zone.temperature_c is None:
            unit = "in any unit" if zone.kind is None else "in the unit of such zones"
            doubts[f"reads {zone.reading}, not {COLDEST_C:g} to {TOO_HOT_C:g} °C {unit}"].append(
                zone.type
            )
    sentences = [*doubts.items()]
    if (count := len(_list_believed(text))) > MAX_TEMPERATURES:
        reason = f"are too many: only the {MAX_TEMPERATURES} hottest are watched"
        sentences.append((reason, [f"{count} thermal zones"]))
    return _join_doubts(sentences)


def _list_believed(text: str) -> list[ThermalZone]:
    return [zone for zone in _read_core_zones(text) if zone.temperature_c is not None]


def _select_watched(text: str) -> list[ThermalZone]:
    """Return the zones of the cores that are believed; of too many, the hottest."""
    zones = _list_believed(text)
    hottest = sorted(zones, key=lambda zone: zone.temperature_c or 0.0, reverse=True)
    watched = hottest[:MAX_TEMPERATURES]
    return [zone for zone in zones if zone in watched]


def _read_core_zones(text: str) -> list[ThermalZone]:
    """Return the zones of the cores, or else of their chip, or else of no other known part.

    The zones of one type, such as cpu0 and cpu1, have one unit.
    """
    lines = [parts for line in text.splitlines() if (parts := _parse_zone(line))]
    lines = _select_cores(lines)
    families: dict[str, list[str]] = defaultdict(list)
    for reading, type, _ in lines:
        families[_ZONE_FAMILY.sub("#", type)].append(reading)
    kinds = {family: find_temperature_kind(readings) for family, readings in families.items()}
    return [
        ThermalZone(type, file, reading=reading, kind=kinds[_ZONE_FAMILY.sub("#", type)])
        for reading, type, file in lines
    ]


def _parse_zone(line: str) -> tuple[str, str, str] | None:
    """Parse a line `TYPE=FILE READING` into a reading as the samples have it, type and file."""
    match = _ZONE.fullmatch(line.strip())
    if match is None or ";" in match[2]:
        return None
    return ",".join(match[3].split()), _SEPARATOR.sub("_", match[1].strip()), match[2]


def _select_cores(lines: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    zones = [line for line in lines if not _OTHER_TYPE.search(line[1])]
    for pattern in (_CPU_TYPE, _CHIP_TYPE):
        if matching := [line for line in zones if pattern.search(line[1])]:
            return matching
    return zones


# Monitors of a board's supply, and those that firmware speaks for. The power that a graphics card
# or a processor reports, such as amdgpu or zenpower, is that of a part.
# NVIDIA's boards label the sensor at their input (VDD_IN, POM_5V_IN); other rails are parts of it.
# A supply whose scope is Device is the battery of a mouse or a pen.
POWER_COMMAND = f"""
for supply in {SYSFS}/class/power_supply/*; do
    type='' status='' scope='' present='' power='' current='' voltage=''
    read -r type <"$supply/type"
    read -r status <"$supply/status"
    read -r scope <"$supply/scope"
    read -r present <"$supply/present"
    if [ "$type $status" != 'Battery Discharging' ] || [ "$scope" = Device ]; then continue; fi
    if [ "$present" = 0 ]; then continue; fi
    read -r voltage <"$supply/voltage_now"
    if read -r power <"$supply/power_now"; then
        echo "battery ${{voltage:--}} ${{power:--}} power=$supply/power_now"
    else
        read -r current <"$supply/current_now"
        echo "battery ${{voltage:--}} ${{current:--}} current=$supply/current_now"
    fi
done
for power in {SYSFS}/class/hwmon/hwmon*/power*_input; do
    value='' name=''
    read -r name <"${{power%/*}}/name" || continue
    read -r value <"$power"
    case $name in
        ina*|ltc*|pac1*|adm1*|lm25*|power_meter*|scmi*|scpi*)
            echo "rails ${{value:--}} power_uw=$power"
            ;;
        *) echo "part $name" ;;
    esac
done
for current in {SYSFS}/class/hwmon/hwmon*/curr*_input; do
    chip=${{current%/*}} rail=${{current##*/curr}} name='' label='' value='' voltage='' on=''
    rail=${{rail%_input}}
    read -r name <"$chip/name"
    read -r label <"$chip/in${{rail}}_label"
    read -r on <"$chip/in${{rail}}_enable"
    if [ "$name" != ina3221 ] || [ "$on" = 0 ]; then continue; fi
    case $label in *_IN) group=total ;; *) group=rails ;; esac
    read -r value <"$current"
    read -r voltage <"$chip/in${{rail}}_input"
    echo "$group ${{value:--}} current_ma=$current"
    echo "$group ${{voltage:--}} voltage_mv=$chip/in${{rail}}_input"
done
case $(vcgencmd pmic_read_adc) in *'current('*) echo 'pmic - pmic=!vcgencmd pmic_read_adc' ;; esac
"""
_SENSOR_GROUPS = ("total", "rails", "pmic")
_SENSOR_LINE = re.compile(r"(\w{1,20}) (.{1,60}) ((\w{1,20})=([/!][^;]{1,1000}))")
_BATTERY_LINE = re.compile(
    r"battery (\S{1,30}) (.{1,60}) (power|current)=(/[^;]{1,1000})/(?:power|current)_now"
)


@dataclass(frozen=True)
class _PowerSensors:
    """The sensors of a device's power, as `KIND=SOURCE`, and those that are not believed."""

    sources: tuple[str, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


def parse_power_sensors(text: str) -> str | None:
    """Return `KIND=SOURCE;…` of the sensors whose sum is the power of the whole device.

    The groups overlap: a battery powers all rails, for one. So the first one that is believed is
    used alone.
    """
    return ";".join(_find_power_sensors(text).sources) or None


def parse_power_doubts(text: str) -> str | None:
    """Return the power sensors that are not believed, and the reason."""
    return _join_doubts((reason, [name]) for name, reason in _find_power_sensors(text).doubts)


def _find_power_sensors(text: str) -> _PowerSensors:
    lines = [line.strip() for line in text.splitlines()]
    batteries = _find_batteries(lines)
    if batteries.sources:
        return batteries
    groups: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for line in lines:
        match = _SENSOR_LINE.fullmatch(line)
        if match and match[4] in POWER_KINDS:
            groups[match[1]].append((match[4], match[2], match[3]))
    doubts = list(batteries.doubts)
    for name in _SENSOR_GROUPS:
        sensors = groups[name]
        is_believed = sum_power_uw((kind, reading) for kind, reading, _ in sensors) is not None
        if sensors and (name == "pmic" or is_believed):
            return _PowerSensors(tuple(source for *_, source in sensors), tuple(doubts))
        if sensors:
            readings = ", ".join(reading for _, reading, _ in sensors[:_MAX_NAMES])
            doubts.append((f"power of {name}", f"reads {readings}: not 1 mW to 1 kW together"))
    return _PowerSensors(doubts=(*doubts, *_list_parts(lines)))


def _list_parts(lines: Iterable[str]) -> list[tuple[str, str]]:
    parts = dict.fromkeys(line.removeprefix("part ") for line in lines if line.startswith("part "))
    reason = "measures the power of a part, not of the device"
    return [(part[:_MAX_NAME], reason) for part in [*parts][:_MAX_NAMES]]


def _find_batteries(lines: Iterable[str]) -> _PowerSensors:
    """Return the sensors of the batteries that are discharged, or none if one is not believed."""
    sources: list[str] = []
    doubts: list[tuple[str, str]] = []
    names: dict[tuple[str, str], str] = {}
    for match in filter(None, map(_BATTERY_LINE.fullmatch, lines)):
        voltage, reading, quantity, folder = match.groups()
        name = folder.rpartition("/")[2]
        if (other := names.setdefault((voltage, reading), name)) != name:
            doubts.append((name, f"reads the same as {other}: both may be one battery"))
        elif (
            battery := _find_battery(voltage, reading, quantity=quantity, folder=folder)
        ) is not None:
            sources += battery
        else:
            readings = f"voltage_now {voltage}, {quantity}_now {reading}"
            doubts.append((name, f"reads {readings}: no unit is certain"))
    return _PowerSensors(() if doubts else tuple(sources), tuple(doubts))


def _find_battery(voltage: str, reading: str, quantity: str, folder: str) -> list[str] | None:
    """Return `KIND=SOURCE` of a battery's power, or of its current and its voltage."""
    voltage_kind = find_voltage_kind(voltage)
    if voltage_kind is None:
        return None
    kinds = ("power_uw", "power_mw") if quantity == "power" else ("current_ua", "current_ma")
    kind = find_battery_kind(reading, read_volts(voltage_kind, voltage), candidates=kinds)
    if kind is None:
        return None
    source = f"{kind}={folder}/{quantity}_now"
    return [source] if quantity == "power" else [source, f"{voltage_kind}={folder}/voltage_now"]


def _join_doubts(doubts: Iterable[tuple[str, Sequence[str]]]) -> str | None:
    """Return `NAMES REASON; …`, with the first few of many names."""
    sentences = []
    for reason, names in doubts:
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        sentences.append(f"{', '.join(names[:_MAX_NAMES])}{more} {reason}")
    return "; ".join(sentences) or None
