"""Facts of a device: each is a command and a pure parser of its output.

One script runs all the commands.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from harness.bench.sensors import MAX_SENSORS_PER_KIND, POWER_KINDS
from harness.core.units import parse_degrees_c


@dataclass(frozen=True)
class Fact:
    """A command in POSIX shell and the parser of its output.

    `parse` returns None for useless output: the fact is unknown, which is not an error.
    """

    name: str
    command: str
    parse: Callable[[str], str | None]


_POWER_GROUPS = ("battery", "total", "rails", "pmic")
_CPU_ZONE = re.compile(
    "cpu|soc|pkg|package|bcm|big|little|gold|silver|prime|cluster|core", re.IGNORECASE
)
_POLICY = re.compile(r"(policy\d+) (\d{1,12}) ([\w-]+) (\d{1,4}(?: \d{1,4})*)")
# BatteryManager.BATTERY_STATUS_*
_BATTERY_STATES = {"2": "charging", "3": "discharging", "4": "not charging", "5": "full"}


def _parse_text(text: str) -> str | None:
    return text.strip() or None


def _parse_first_word(text: str) -> str | None:
    return _parse_text(text.partition(" ")[0])


def _parse_cpu_model(text: str) -> str | None:
    """Parse /proc/cpuinfo: `model name` on x86, the SoC's `Hardware` or `Model` line on ARM."""
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields.get("model name") or fields.get("Model") or fields.get("Hardware") or None


def _parse_cpu_features(text: str) -> str | None:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return value.strip() or None
    return None


def _parse_memory_bytes(text: str) -> str | None:
    for line in text.splitlines():
        if match := re.fullmatch(r"MemTotal:\s+([0-9]{1,18}) kB", line.strip()):
            return str(int(match[1]) * 1024)
    return None


def _parse_userland_bits(text: str) -> str | None:
    """Parse the class of an ELF program of the device, the fifth byte of its file."""
    return {"1": "32", "2": "64"}.get(text.strip())


def _parse_free_bytes(text: str) -> str | None:
    """Parse the available kilobytes that `df -k` prints, the third number of its last line."""
    numbers = re.findall(r"\s([0-9]{1,18})(?=\s)", (text.strip().splitlines() or [""])[-1])
    return str(int(numbers[2]) * 1024) if len(numbers) >= 3 else None


def _parse_glibc(text: str) -> str | None:
    match = re.search(r"glibc ([0-9][0-9.]*)", text)
    return match[1] if match else None


def _parse_hottest_c(text: str) -> str | None:
    degrees = parse_degrees_c(text.split())
    return f"{max(degrees):g}" if degrees else None


def _parse_battery_c(text: str) -> str | None:
    """Parse Android's `dumpsys battery`, which prints tenths of a degree."""
    match = re.search(r"^\s*temperature: ([0-9]{1,9})$", text, re.MULTILINE)
    return f"{int(match[1]) / 10:g}" if match else None


def _parse_model(text: str) -> str | None:
    return _parse_text(text.replace("\0", ""))


def _parse_thermal_zones(text: str) -> str | None:
    """Parse lines `TYPE=FILE`: the zones whose type is of a CPU, or else all zones."""
    zones = [line.strip() for line in text.splitlines() if re.fullmatch(r"\s*[^;=]+=/[^;]+", line)]
    cpu_zones = [zone for zone in zones if _CPU_ZONE.search(zone.partition("=")[0])]
    return ";".join((cpu_zones or zones)[:MAX_SENSORS_PER_KIND]) or None


def _parse_cpufreq(text: str) -> str | None:
    """Parse the folder, then a line `POLICY MAX_KHZ GOVERNOR CPU CPU…` for each clock."""
    folder, *lines = text.strip().splitlines() or [""]
    entries = []
    for line in lines:
        if match := _POLICY.fullmatch(line.strip()):
            name, max_khz, governor, cpus = match.groups()
            entries.append(f"{name} {cpus.replace(' ', ',')} {max_khz} {governor}")
    return ";".join((folder, *entries)) if entries and re.fullmatch("/[^;]+", folder) else None


def _parse_power_sensors(text: str) -> str | None:
    """Parse lines `GROUP KIND=SOURCE`, and keep the first group alone.

    The groups overlap: a battery powers all rails, for one.
    """
    groups = defaultdict(list)
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+) ((\w+)=[/!][^;]+)", line.strip())
        if match and match[3] in POWER_KINDS:
            groups[match[1]].append(match[2])
    first = next((name for name in _POWER_GROUPS if name in groups), None)
    return ";".join(groups[first]) if first else None


def _parse_source(text: str) -> str | None:
    return text.strip() if re.fullmatch(r"[/!][^\n]+", text.strip()) else None


def parse_battery_percent(text: str) -> int | None:
    """Parse the battery's level in Android's `dumpsys battery`."""
    match = re.search(r"^\s*level: ([0-9]{1,3})$", text, re.MULTILINE)
    return int(match[1]) if match else None


def parse_battery_state(text: str) -> str | None:
    """Parse the battery's status: one of BatteryManager's numbers, or the kernel's words."""
    match = re.search(r"^\s*status: ([\w ]{1,20})$", text, re.MULTILINE)
    if match is None:
        return None
    status = match[1].strip()
    return _BATTERY_STATES.get(status, status.lower())


def parse_screen(text: str) -> str | None:
    """Return `on` or `off`, from Android's PowerManagerService.

    A screen that dozes shows a clock at most, and counts as off.
    """
    match = re.search(r"mWakefulness=(\w+)", text)
    if match is None:
        return None
    return "on" if match[1] in ("Awake", "Dreaming") else "off"


def _parse_battery(text: str) -> str | None:
    percent = parse_battery_percent(text)
    if percent is None:
        return None
    plugged = "plugged in" if "powered: true" in text else None
    return ", ".join(filter(None, (f"{percent} %", parse_battery_state(text), plugged)))


def _parse_lines(text: str) -> str | None:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or None


# A tree of plain files may stand in for the kernel's.
_SYSFS = '"${HARNESS_SYSFS:-/sys}"'
_THERMAL_ZONES = f"""
for zone in {_SYSFS}/class/thermal/thermal_zone*; do
    read -r type <"$zone/type" && read -r _ <"$zone/temp" && echo "$type=$zone/temp"
done"""
_CPUFREQ = f"""
folder={_SYSFS}/devices/system/cpu/cpufreq
echo "$folder"
for policy in "$folder"/policy*; do
    read -r cpus <"$policy/related_cpus" && read -r max <"$policy/cpuinfo_max_freq" &&
        read -r governor <"$policy/scaling_governor" && echo "${{policy##*/}} $max $governor $cpus"
done"""
_THROTTLE_SOURCE = f"""
flags={_SYSFS}/devices/platform/soc/soc:firmware/get_throttled
if read -r _ <"$flags"; then echo "$flags"; else
    case $(vcgencmd get_throttled) in throttled=*) echo '!vcgencmd get_throttled' ;; esac
fi"""
# NVIDIA's boards label the sensor at their input (VDD_IN, POM_5V_IN); other rails are parts of it.
_POWER_SENSORS = f"""
for supply in {_SYSFS}/class/power_supply/*; do
    read -r type <"$supply/type" && read -r status <"$supply/status" || continue
    if [ "$type $status" != 'Battery Discharging' ]; then continue; fi
    if read -r _ <"$supply/power_now"; then
        echo "battery power_uw=$supply/power_now"
    elif read -r _ <"$supply/current_now" && read -r _ <"$supply/voltage_now"; then
        echo "battery current_ua=$supply/current_now"
        echo "battery voltage_uv=$supply/voltage_now"
    fi
done
for power in {_SYSFS}/class/hwmon/hwmon*/power*_input; do
    if read -r _ <"$power"; then echo "rails power_uw=$power"; fi
done
for current in {_SYSFS}/class/hwmon/hwmon*/curr*_input; do
    chip=${{current%/*}} rail=${{current##*/curr}} name='' label=''
    rail=${{rail%_input}}
    read -r name <"$chip/name"
    read -r label <"$chip/in${{rail}}_label"
    if [ "$name" != ina3221 ]; then continue; fi
    case $label in *_IN) group=total ;; *) group=rails ;; esac
    if read -r _ <"$current" && read -r _ <"$chip/in${{rail}}_input"; then
        echo "$group current_ma=$current"
        echo "$group voltage_mv=$chip/in${{rail}}_input"
    fi
done
case $(vcgencmd pmic_read_adc) in *'current('*) echo 'pmic pmic=!vcgencmd pmic_read_adc' ;; esac"""
_BATTERY = f"""
dumpsys battery || for supply in {_SYSFS}/class/power_supply/*; do
    read -r type <"$supply/type" && [ "$type" = Battery ] || continue
    read -r level <"$supply/capacity" || continue
    read -r status <"$supply/status"
    echo "level: $level"
    echo "status: $status"
done"""
_OS_IMAGE = """
getprop ro.build.fingerprint || (. /etc/os-release; echo "$PRETTY_NAME")
uname -v"""

FACTS = (
    Fact("machine", "uname -m", parse=_parse_text),
    Fact("kernel", "uname -r", parse=_parse_text),
    Fact("userland_bits", 'od -An -tu1 -j4 -N1 "$(command -v sh)"', parse=_parse_userland_bits),
    Fact("model", "cat /proc/device-tree/model || getprop ro.product.model", parse=_parse_model),
    Fact("cpu", "cat /proc/cpuinfo", parse=_parse_cpu_model),
    Fact("cpu_features", "cat /proc/cpuinfo", parse=_parse_cpu_features),
    Fact("cpus", "nproc", parse=_parse_text),
    Fact("memory_bytes", "cat /proc/meminfo", parse=_parse_memory_bytes),
    Fact("glibc", "getconf GNU_LIBC_VERSION", parse=_parse_glibc),
    Fact("android", "getprop ro.build.version.release", parse=_parse_text),
    Fact("free_bytes", "df -k .", parse=_parse_free_bytes),
    Fact(
        "governor",
        f"cat {_SYSFS}/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        parse=_parse_text,
    ),
    Fact("temperature_c", f"cat {_SYSFS}/class/thermal/thermal_zone*/temp", parse=_parse_hottest_c),
    Fact("battery_c", "dumpsys battery", parse=_parse_battery_c),
    Fact("battery", _BATTERY, parse=_parse_battery),
    Fact("screen", "dumpsys power | grep mWakefulness=", parse=parse_screen),
    Fact("os_image", _OS_IMAGE, parse=_parse_lines),
    Fact("thermal_zones", _THERMAL_ZONES, parse=_parse_thermal_zones),
    Fact("cpufreq", _CPUFREQ, parse=_parse_cpufreq),
    Fact("throttle_source", _THROTTLE_SOURCE, parse=_parse_source),
    Fact("power_sensors", _POWER_SENSORS, parse=_parse_power_sensors),
    Fact("taskset", "command -v taskset >/dev/null && echo yes", parse=_parse_text),
    Fact("timeout", "timeout 5 true && echo yes", parse=_parse_text),
    Fact("load_1min", "cat /proc/loadavg", parse=_parse_first_word),
)

_MARK = "\x1e"


def build_facts_script() -> str:
    """Return a script that runs every fact's command.

    A command that fails, or is not installed on the device, leaves its part empty.
    """
    commands = (
        f"printf '{_MARK}%s\\n' {fact.name}; {{ {fact.command}; }} 2>/dev/null" for fact in FACTS
    )
    return "; ".join((*commands, ":"))


def read_facts(printed: str) -> dict[str, str]:
    """Parse the script's output. Facts that the device does not know are missing."""
    parsers = {fact.name: fact.parse for fact in FACTS}
    facts = {}
    for part in printed.split(_MARK)[1:]:
        name, _, text = part.partition("\n")
        if name in parsers:
            facts[name] = parsers[name](text)
    return {name: value for name, value in facts.items() if value is not None}


def abi_of(facts: dict[str, str]) -> str | None:
    """Return the ABI of the device's programs.

    A 32-bit userland on a 64-bit chip runs 32-bit programs.
    """
    machine, bits = facts.get("machine", ""), facts.get("userland_bits")
    if machine in ("x86_64", "amd64"):
        return "x86_64"
    if machine in ("aarch64", "arm64", "armv8l", "armv7l") and (
        bits == "32" or machine.startswith("armv")
    ):
        return "aarch32"
    if machine in ("aarch64", "arm64"):
        return "android-arm64" if "android" in facts else "aarch64"
    return None
