"""A device's cores: which are on, and which are faster. Facts, and what follows from them."""

import re
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.bench.readings import read_clock_khz
from harness.bench.sensor_facts import SYSFS
from harness.core.device import MAX_CPUS

# Of the kernel's files, only those of a core that is on can be read. A plain tree that stands in
# for /sys describes another machine than /proc, so /proc only fills the gaps.
CORES_COMMAND = f"""
folder={SYSFS}/devices/system/cpu
read -r list <"$folder/online" && echo "online $list"
for core in "$folder"/cpu[0-9]*; do
    [ -d "$core" ] || continue
    on=- capacity=- midr=-
    read -r on <"$core/online"
    read -r capacity <"$core/cpu_capacity"
    read -r midr <"$core/regs/identification/midr_el1"
    echo "core ${{core##*/cpu}} $on $capacity $midr"
done
while read -r name _; do
    case $name in cpu[0-9]*) echo "running ${{name#cpu}}" ;; intr) break ;; esac
done </proc/stat
if [ -z "${{HARNESS_SYSFS-}}" ]; then
    while read -r name list; do
        if [ "$name" = Cpus_allowed_list: ]; then echo "allowed $list"; fi
    done </proc/self/status
fi
cat /proc/cpuinfo"""
CPUFREQ_COMMAND = f"""
folder={SYSFS}/devices/system/cpu/cpufreq
echo "$folder"
for policy in "$folder"/policy*; do
    {{ read -r cpus <"$policy/affected_cpus" || read -r cpus <"$policy/related_cpus"; }} &&
        read -r max <"$policy/cpuinfo_max_freq" && read -r governor <"$policy/scaling_governor" &&
        echo "${{policy##*/}} $max $governor $cpus"
done"""

_ARM, _QUALCOMM, _SAMSUNG, _NVIDIA, _APPLE = 0x41, 0x51, 0x53, 0x4E, 0x61
_SLOW_TO_FAST: tuple[Mapping[tuple[int, int], str], ...] = (
    {(_ARM, 0xC07): "Cortex-A7"},
    {(_ARM, 0xD01): "Cortex-A32", (_ARM, 0xD02): "Cortex-A34", (_ARM, 0xD04): "Cortex-A35"},
    {(_ARM, 0xD03): "Cortex-A53", (_QUALCOMM, 0x801): "Kryo-2XX-Silver"},
    {
        (_ARM, 0xD05): "Cortex-A55",
        (_QUALCOMM, 0x803): "Kryo-3XX-Silver",
        (_QUALCOMM, 0x805): "Kryo-4XX-Silver",
    },
    {(_ARM, 0xD46): "Cortex-A510"},
    {(_ARM, 0xD80): "Cortex-A520", (_ARM, 0xD88): "Cortex-A520AE"},
    {(_ARM, 0xD8A): "C1-Nano"},
    {(_ARM, 0xC09): "Cortex-A9"},
    {(_ARM, 0xC0F): "Cortex-A15", (_ARM, 0xC0E): "Cortex-A17"},
    {(_ARM, 0xD07): "Cortex-A57"},
    {(_ARM, 0xD08): "Cortex-A72", (_NVIDIA, 0x003): "Denver-2"},
    {
        (_ARM, 0xD09): "Cortex-A73",
        (_QUALCOMM, 0x800): "Kryo-2XX-Gold",
        (_SAMSUNG, 0x001): "Exynos-M1",
    },
    {(_ARM, 0xD0A): "Cortex-A75", (_QUALCOMM, 0x802): "Kryo-3XX-Gold"},
    {
        (_ARM, 0xD0B): "Cortex-A76",
        (_QUALCOMM, 0x804): "Kryo-4XX-Gold",
        (_SAMSUNG, 0x002): "Exynos-M3",
    },
    {(_ARM, 0xD0D): "Cortex-A77", (_SAMSUNG, 0x003): "Exynos-M4"},
    {(_ARM, 0xD41): "Cortex-A78", (_ARM, 0xD4B): "Cortex-A78C", (_SAMSUNG, 0x004): "Exynos-M5"},
    {(_ARM, 0xD47): "Cortex-A710"},
    {(_ARM, 0xD4D): "Cortex-A715"},
    {(_ARM, 0xD81): "Cortex-A720", (_ARM, 0xD89): "Cortex-A720AE"},
    {(_ARM, 0xD87): "Cortex-A725", (_ARM, 0xD8B): "C1-Pro"},
    {(_ARM, 0xD44): "Cortex-X1", (_ARM, 0xD4C): "Cortex-X1C"},
    {(_ARM, 0xD48): "Cortex-X2"},
    {(_ARM, 0xD4E): "Cortex-X3"},
    {(_ARM, 0xD82): "Cortex-X4"},
    {(_ARM, 0xD85): "Cortex-X925", (_ARM, 0xD90): "C1-Premium"},
    {(_ARM, 0xD8C): "C1-Ultra"},
    {(_APPLE, 0x022): "Icestorm-M1", (_APPLE, 0x032): "Blizzard-M2"},
    {(_APPLE, 0x023): "Firestorm-M1", (_APPLE, 0x033): "Avalanche-M2"},
)
"""Implementer and part of the cores that are built into one chip with others, by speed per clock.

The names are those of util-linux's `lscpu`, the order is that of their makers' announcements.
"""
_NAMES = dict(ChainMap(*(dict(names) for names in _SLOW_TO_FAST)))
_RANKS: dict[str, float] = {}
for _rank, _names in enumerate(_SLOW_TO_FAST):
    _RANKS.update(dict.fromkeys(_names.values(), float(_rank)))

_POLICY = re.compile(r"(policy[0-9]{1,4}) ([0-9]{1,12}) ([\w-]{1,40}) ([0-9]{1,4}(?: [0-9]{1,4})*)")
_CORE = re.compile(r"core ([0-9]{1,4}) ([01-]) ([0-9]{1,6}|-) ((?:0x)?[0-9a-fA-F]{1,16}|-)")
_MAX_DOUBTS = 3
_FASTEST_CAPACITY = 1024.0
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def parse_cpus_online(text: str) -> str | None:
    """Return the cores that are on, and that a process may use, such as `0-3,6`."""
    online = _find_online(text)
    allowed = _read_lists(text, "allowed")
    return format_cpus(online & allowed if allowed else online) or None


def parse_cpus_offline(text: str) -> str | None:
    """Return the cores that the device has and that are off."""
    online = _find_online(text)
    present = {int(match[1]) for match in _find_cores(text)}
    return format_cpus(present - online) or None if online else None


def parse_cpu_capacity(text: str) -> str | None:
    """Return `CAPACITY CORES;…`: the kernel's own measure of each core's speed, 1024 at most."""
    return _format_groups((match[3], int(match[1])) for match in _find_cores(text))


def parse_cpu_parts(text: str) -> str | None:
    """Return `NAME CORES;…`: the microarchitecture of each ARM core."""
    parts = _read_cpuinfo(text)
    for match in _find_cores(text):
        if match[4] != "-":
            midr = int(match[4], 16)  # Arm ARM, MIDR_EL1: implementer 31:24, part 15:4
            parts[int(match[1])] = (midr >> 24 & 0xFF, midr >> 4 & 0xFFF)
    return _format_groups((_name_part(*part), cpu) for cpu, part in parts.items())


def parse_cpufreq(text: str) -> str | None:
    """Parse the folder, then a line `POLICY MAX_KHZ GOVERNOR CPU CPU…` for each clock."""
    folder, *lines = text.strip().splitlines() or [""]
    entries = []
    for line in lines:
        if match := _POLICY.fullmatch(line.strip()):
            name, max_khz, governor, cpus = match.groups()
            entries.append(f"{name} {cpus.replace(' ', ',')} {max_khz} {governor}")
    is_path = folder.startswith("/") and ";" not in folder
    return ";".join((folder, *entries)) if entries and is_path else None


def parse_clock_doubts(text: str) -> str | None:
    """Return the clocks whose highest frequency is not believed."""
    doubts = []
    for line in text.strip().splitlines()[1:]:
        name, _, rest = line.strip().partition(" ")
        match = _POLICY.fullmatch(line.strip())
        if match is None or read_clock_khz(match[2]) is None:
            doubts.append(f"clock {name:.20} reads {rest:.40}")
    return "; ".join(doubts[:_MAX_DOUBTS]) or None


def _find_cores(text: str) -> list[re.Match[str]]:
    matches = map(_CORE.fullmatch, (line.strip() for line in text.splitlines()))
    return [match for match in matches if match and int(match[1]) < MAX_CPUS]


def _find_online(text: str) -> set[int]:
    """Return the cores of the kernel's list, or else those that anything shows to be on.

    Only the list names every core: the first one often lacks a file of its own.
    """
    if online := _read_lists(text, "online"):
        return online
    cores = _find_cores(text)
    on = {int(match[1]) for match in cores if {match[2], match[3], match[4]} != {"-"}}
    off = {int(match[1]) for match in cores if match[2] == "0"}
    return (on | _read_lists(text, "running")) - off


def _read_lists(text: str, name: str) -> set[int]:
    """Return the cores of all lines that start with this name."""
    lists = [line.strip() for line in text.splitlines() if line.strip().startswith(f"{name} ")]
    cpus: set[int] = set()
    for line in lists[:MAX_CPUS]:
        cpus |= parse_cpus(line.removeprefix(name))
    return cpus


def _read_cpuinfo(text: str) -> dict[int, tuple[int, int]]:
    """Return the implementer and the part of each core of /proc/cpuinfo."""
    parts: dict[int, tuple[int, int]] = {}
    cpu = implementer = 0
    for line in text.splitlines():
        key, _, value = (word.strip() for word in line.partition(":"))
        if key == "processor" and re.fullmatch("[0-9]{1,4}", value):
            cpu = int(value)
        elif key == "CPU implementer" and re.fullmatch("0x[0-9a-fA-F]{1,2}", value):
            implementer = int(value, 16)
        elif key == "CPU part" and re.fullmatch("0x[0-9a-fA-F]{1,3}", value) and cpu < MAX_CPUS:
            parts[cpu] = (implementer, int(value, 16))
    return parts


def _name_part(implementer: int, part: int) -> str:
    return _NAMES.get((implementer, part), f"{implementer:02x}:{part:03x}")


def _format_groups(values: Iterable[tuple[str, int]]) -> str | None:
    groups: dict[str, set[int]] = defaultdict(set)
    for value, cpu in values:
        if value != "-":
            groups[value].add(cpu)
    return ";".join(f"{value} {format_cpus(cpus)}" for value, cpus in groups.items()) or None


def parse_cpus(text: str) -> set[int]:
    """Parse a list of cores in the kernel's form, such as `0-3,6`; other words are skipped."""
    cpus: set[int] = set()
    for word in text[: 8 * MAX_CPUS].split(","):
        if match := _RANGE.fullmatch(word.strip()):
            first, last = int(match[1]), int(match[2] or match[1])
            cpus.update(range(first, min(last + 1, MAX_CPUS)))
    return cpus


def format_cpus(cpus: Iterable[int]) -> str:
    """Return a list of cores in the kernel's form, such as `0-3,6`."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


@dataclass(frozen=True)
class Policy:
    """Cores that share one clock, as in the kernel's cpufreq; `folder` is the policy's."""

    folder: str
    cpus: tuple[int, ...]
    max_khz: int


def read_policies(facts: Mapping[str, str]) -> tuple[Policy, ...]:
    """Parse the fact `cpufreq`: `FOLDER;NAME CPU,CPU… MAX_KHZ GOVERNOR;…`."""
    folder, *entries = facts.get("cpufreq", "").split(";")
    return tuple(_read_policy(folder, entry) for entry in entries)


def _read_policy(folder: str, entry: str) -> Policy:
    name, cpus, max_khz, _ = entry.split()
    return Policy(f"{folder}/{name}", tuple(map(int, cpus.split(","))), max_khz=int(max_khz))


def list_online(facts: Mapping[str, str]) -> set[int]:
    """Return the cores that are on; without that fact, all that have a clock."""
    if online := parse_cpus(facts.get("cpus_online", "")):
        return online
    cpus: set[int] = set()
    for policy in read_policies(facts):
        cpus.update(policy.cpus)
    return cpus


def group_by_speed(facts: Mapping[str, str]) -> list[set[int]]:
    """Return the cores that are on in groups of equal speed, the fastest first.

    The kernel's `cpu_capacity` decides; where it is equal or unknown, the microarchitecture; then
    the highest clock. Each counts only if it is known of all cores, or of one with the same clock.
    Yet a clock alone does not overrule the capacities of some cores. The kernel gives the fastest
    core 1024 (sysfs-devices-system-cpu), so the unknown ones come last if it is among the known,
    and first if not.
    """
    online = list_online(facts)
    capacities, ranks, clocks = _read_capacities(facts), _read_ranks(facts), _read_clocks(facts)
    for measure in (capacities, ranks, clocks):
        _fill_from_neighbours(measure, facts)
    if not online <= ranks.keys() and online & capacities.keys():
        is_fastest_known = max(capacities.values()) == _FASTEST_CAPACITY
        unknown = 0.0 if is_fastest_known else _FASTEST_CAPACITY
        capacities = {cpu: capacities.get(cpu, unknown) for cpu in online}
    measures = [measure for measure in (capacities, ranks, clocks) if online <= measure.keys()]
    groups: dict[tuple[float, ...], set[int]] = defaultdict(set)
    for cpu in online:
        groups[tuple(measure[cpu] for measure in measures)].add(cpu)
    return [groups[speed] for speed in sorted(groups, reverse=True)]


def _fill_from_neighbours(measure: dict[int, float], facts: Mapping[str, str]) -> None:
    """Give a core without a value that of the cores that share its clock: they are of one kind."""
    for policy in read_policies(facts):
        values = {measure[cpu] for cpu in policy.cpus if cpu in measure}
        if len(values) == 1:
            measure.update(dict.fromkeys(policy.cpus, values.pop()))


def _read_capacities(facts: Mapping[str, str]) -> dict[int, float]:
    return {cpu: float(value) for cpu, value in _read_groups(facts, "cpu_capacity")}


def _read_ranks(facts: Mapping[str, str]) -> dict[int, float]:
    groups = _read_groups(facts, "cpu_parts")
    return {cpu: _RANKS[name] for cpu, name in groups if name in _RANKS}


def _read_clocks(facts: Mapping[str, str]) -> dict[int, float]:
    clocks: dict[int, float] = {}
    for policy in read_policies(facts):
        if read_clock_khz(str(policy.max_khz)) is not None:
            clocks.update(dict.fromkeys(policy.cpus, policy.max_khz))
    return clocks


def _read_groups(facts: Mapping[str, str], name: str) -> list[tuple[int, str]]:
    """Parse a fact `VALUE CORES;…` into pairs of a core and its value."""
    pairs = []
    for entry in facts.get(name, "").split(";"):
        value, _, cpus = entry.partition(" ")
        pairs += [(cpu, value) for cpu in parse_cpus(cpus)]
    return pairs
