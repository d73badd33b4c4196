"""Facts of a device: each a command and a pure parser of what it prints. All are asked at once, by one script."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.bench.sensors import MOST_ALIKE, POWER_KINDS
from harness.core.units import parse_degrees_c


@dataclass(frozen=True)
class Fact:
    """`command` is POSIX shell; `parse` gives None where it said nothing of use: an unknown, not an error."""

    name: str
    command: str
    parse: Callable[[str], str | None]


_CPU_ZONE = re.compile(
    "cpu|soc|pkg|package|bcm|big|little|gold|silver|prime|cluster|core", re.IGNORECASE
)
# BatteryManager.BATTERY_STATUS_*
_BATTERY_STATES = {"2": "charging", "3": "discharging", "4": "not charging", "5": "full"}


def _whole(text: str) -> str | None:
    return text.strip() or None


def _first_word(text: str) -> str | None:
    return _whole(text.partition(" ")[0])


def _cpu_model(text: str) -> str | None:
    """From /proc/cpuinfo: `model name` on x86, the SoC's `Hardware` or `Model` line on ARM."""
    found = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    return found.get("model name") or found.get("Model") or found.get("Hardware") or None


def _cpu_features(text: str) -> str | None:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return value.strip() or None
    return None


def _memory_bytes(text: str) -> str | None:
    for line in text.splitlines():
        if found := re.fullmatch(r"MemTotal:\s+([0-9]{1,18}) kB", line.strip()):
            return str(int(found[1]) * 1024)
    return None


def _userland_bits(text: str) -> str | None:
    """From the fifth byte of an ELF program there: its class."""
    return {"1": "32", "2": "64"}.get(text.strip())


def _free_bytes(text: str) -> str | None:
    """From `df -k`: the fourth number of its last line, in kilobytes."""
    numbers = re.findall(r"\s([0-9]{1,18})(?=\s)", (text.strip().splitlines() or [""])[-1])
    return str(int(numbers[2]) * 1024) if len(numbers) >= 3 else None


def _glibc(text: str) -> str | None:
    found = re.search(r"glibc ([0-9][0-9.]*)", text)
    return found[1] if found else None


def _hottest_c(text: str) -> str | None:
    degrees = parse_degrees_c(text.split())
    return f"{max(degrees):g}" if degrees else None


def _battery_c(text: str) -> str | None:
    """From Android's `dumpsys battery`, in tenths of a degree."""
    found = re.search(r"^\s*temperature: ([0-9]{1,9})$", text, re.MULTILINE)
    return f"{int(found[1]) / 10:g}" if found else None


def _model(text: str) -> str | None:
    return _whole(text.replace("\0", ""))


def _thermal_zones(text: str) -> str | None:
    """From lines `TYPE=FILE`: those of the CPU by their type; where none says so, any."""
    zones = [line.strip() for line in text.splitlines() if re.fullmatch(r"\s*[^;=]+=/[^;]+", line)]
    of_cpu = [zone for zone in zones if _CPU_ZONE.search(zone.partition("=")[0])]
    return ";".join((of_cpu or zones)[:MOST_ALIKE]) or None


def _cpufreq(text: str) -> str | None:
    """From the folder, then a line `POLICY MAX_KHZ GOVERNOR CPU CPU…` for each clock."""
    folder, *lines = text.strip().splitlines() or [""]
    found = [
        re.fullmatch(r"(policy\d+) (\d{1,12}) ([\w-]+) (\d{1,4}(?: \d{1,4})*)", line.strip())
        for line in lines
    ]
    entries = [f"{one[1]} {one[4].replace(' ', ',')} {one[2]} {one[3]}" for one in found if one]
    return ";".join((folder, *entries)) if entries and re.fullmatch("/[^;]+", folder) else None


def _power_sensors(text: str) -> str | None:
    """From lines `GROUP KIND=SOURCE`: the first group alone, as one may measure what is part of another's."""
    found = [re.fullmatch(r"(\w+) (\w+=[/!][^;]+)", line.strip()) for line in text.splitlines()]
    known = [one for one in found if one and one[2].partition("=")[0] in POWER_KINDS]
    for group in ("battery", "total", "rails", "pmic"):
        if sensors := [one[2] for one in known if one[1] == group]:
            return ";".join(sensors)
    return None


def _source(text: str) -> str | None:
    return text.strip() if re.fullmatch(r"[/!][^\n]+", text.strip()) else None


def battery_percent(text: str) -> int | None:
    """From Android's `dumpsys battery`."""
    found = re.search(r"^\s*level: ([0-9]{1,3})$", text, re.MULTILINE)
    return int(found[1]) if found else None


def battery_state(text: str) -> str | None:
    """From the same, where it is one of BatteryManager's numbers, or from the kernel, in its words."""
    found = re.search(r"^\s*status: ([\w ]{1,20})$", text, re.MULTILINE)
    return _BATTERY_STATES.get(found[1].strip(), found[1].strip().lower()) if found else None


def screen(text: str) -> str | None:
    """`on` or `off`, from Android's PowerManagerService; one that dozes shows a clock at most."""
    found = re.search(r"mWakefulness=(\w+)", text)
    return None if found is None else "on" if found[1] in ("Awake", "Dreaming") else "off"


def _battery(text: str) -> str | None:
    percent = battery_percent(text)
    if percent is None:
        return None
    plugged = "plugged in" if "powered: true" in text else None
    return ", ".join(word for word in (f"{percent} %", battery_state(text), plugged) if word)


def _lines(text: str) -> str | None:
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
# What is measured at the board's input is labelled so on NVIDIA's (VDD_IN, POM_5V_IN); other rails are parts of it.
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
    read -r type <"$supply/type" && [ "$type" = Battery ] && read -r level <"$supply/capacity" || continue
    read -r status <"$supply/status"
    echo "level: $level"
    echo "status: $status"
done"""
_OS_IMAGE = """
getprop ro.build.fingerprint || (. /etc/os-release; echo "$PRETTY_NAME")
uname -v"""

FACTS = (
    Fact("machine", "uname -m", parse=_whole),
    Fact("kernel", "uname -r", parse=_whole),
    Fact("userland_bits", 'od -An -tu1 -j4 -N1 "$(command -v sh)"', parse=_userland_bits),
    Fact("model", "cat /proc/device-tree/model || getprop ro.product.model", parse=_model),
    Fact("cpu", "cat /proc/cpuinfo", parse=_cpu_model),
    Fact("cpu_features", "cat /proc/cpuinfo", parse=_cpu_features),
    Fact("cpus", "nproc", parse=_whole),
    Fact("memory_bytes", "cat /proc/meminfo", parse=_memory_bytes),
    Fact("glibc", "getconf GNU_LIBC_VERSION", parse=_glibc),
    Fact("android", "getprop ro.build.version.release", parse=_whole),
    Fact("free_bytes", "df -k .", parse=_free_bytes),
    Fact(
        "governor", f"cat {_SYSFS}/devices/system/cpu/cpu0/cpufreq/scaling_governor", parse=_whole
    ),
    Fact("temperature_c", f"cat {_SYSFS}/class/thermal/thermal_zone*/temp", parse=_hottest_c),
    Fact("battery_c", "dumpsys battery", parse=_battery_c),
    Fact("battery", _BATTERY, parse=_battery),
    Fact("screen", "dumpsys power | grep mWakefulness=", parse=screen),
    Fact("os_image", _OS_IMAGE, parse=_lines),
    Fact("thermal_zones", _THERMAL_ZONES, parse=_thermal_zones),
    Fact("cpufreq", _CPUFREQ, parse=_cpufreq),
    Fact("throttle_source", _THROTTLE_SOURCE, parse=_source),
    Fact("power_sensors", _POWER_SENSORS, parse=_power_sensors),
    Fact("taskset", "command -v taskset >/dev/null && echo yes", parse=_whole),
    Fact("timeout", "timeout 5 true && echo yes", parse=_whole),
    Fact("load_1min", "cat /proc/loadavg", parse=_first_word),
)

_MARK = "\x1e"


def script() -> str:
    """Asks them all: one that fails, or has no program there, leaves its part empty."""
    return (
        "; ".join(
            f"printf '{_MARK}%s\\n' {fact.name}; {{ {fact.command}; }} 2>/dev/null"
            for fact in FACTS
        )
        + "; :"
    )


def read_facts(printed: str) -> dict[str, str]:
    """What the script's output says; a fact that the device does not tell is left out."""
    parsers = {fact.name: fact.parse for fact in FACTS}
    parts = (part.partition("\n") for part in printed.split(_MARK)[1:])
    found = {name: parsers[name](text) for name, _, text in parts if name in parsers}
    return {name: value for name, value in found.items() if value is not None}


def abi(facts: dict[str, str]) -> str | None:
    """The ABI that its programs have; a 32-bit userland on a 64-bit chip runs 32-bit programs."""
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
