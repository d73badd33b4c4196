"""Facts of a device: each is a command and a pure parser of its output.

One script runs all the commands.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.bench.cores import (
    CORES_COMMAND,
    CPUFREQ_COMMAND,
    parse_clock_doubts,
    parse_cpu_capacity,
    parse_cpu_parts,
    parse_cpufreq,
    parse_cpus_offline,
    parse_cpus_online,
)
from harness.bench.readings import read_battery_c, read_throttle_flags
from harness.bench.sensor_facts import (
    POWER_COMMAND,
    SYSFS,
    THERMAL_COMMAND,
    parse_power_doubts,
    parse_power_sensors,
    parse_temperature_c,
    parse_temperature_doubts,
    parse_thermal_zones,
)


@dataclass(frozen=True)
class Fact:
    """A command in POSIX shell and the parser of its output.

    `parse` returns None for useless output: the fact is unknown, which is not an error.
    """

    name: str
    command: str
    parse: Callable[[str], str | None]


# BatteryManager.BATTERY_STATUS_*
_FULL = 100
_BATTERY_STATES = {"2": "charging", "3": "discharging", "4": "not charging", "5": "full"}
_STATUS_NUMBER = re.compile("[0-9]{1,9}")


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


def _parse_battery_c(text: str) -> str | None:
    """Parse Android's `dumpsys battery`, which prints tenths of a degree."""
    tenths = _find_setting(text, "temperature")
    degrees = read_battery_c(int(tenths)) if re.fullmatch("[0-9]{1,9}", tenths) else None
    return None if degrees is None or _is_absent(text) else f"{degrees:g}"


def _parse_model(text: str) -> str | None:
    return _parse_text(text.replace("\0", ""))


def _parse_throttle_source(text: str) -> str | None:
    source, _, value = text.strip().partition("\n")
    return source if _is_source(source) and read_throttle_flags(value) is not None else None


def _parse_throttle_doubts(text: str) -> str | None:
    source, _, value = text.strip().partition("\n")
    if not _is_source(source) or read_throttle_flags(value) is not None:
        return None
    return f"the throttling flags read {value:.30}"


def _is_source(text: str) -> bool:
    return bool(re.fullmatch(r"[/!][^\n]+", text))


def _find_setting(text: str, name: str) -> str:
    """Return the value of the first line `NAME: VALUE`, or an empty text."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _is_absent(text: str) -> bool:
    """Return whether a battery is reported that is not there, as on boards without one."""
    return _find_setting(text, "present") == "false" or _find_setting(text, "voltage") == "0"


def parse_battery_percent(text: str) -> int | None:
    """Parse the level of the fullest battery, in percent; None without a battery.

    Android's `dumpsys battery` gives it as a part of its `scale`.
    """
    levels = [_read_percent(battery) for battery in _list_batteries(text)]
    return max((level for level in levels if level is not None), default=None)


def parse_battery_state(text: str) -> str | None:
    """Parse the status: one of BatteryManager's numbers, or the kernel's words.

    Of several batteries, one that is in use counts.
    """
    states = [state for battery in _list_batteries(text) if (state := _read_state(battery))]
    for in_use in ("charging", "discharging"):
        if in_use in states:
            return in_use
    return states[0] if states else None


def _list_batteries(text: str) -> list[str]:
    """Return the part of each battery that is there."""
    parts = text.split(_NEXT_BATTERY)
    return [part for part in parts if _find_setting(part, "level") and not _is_absent(part)]


def _read_percent(battery: str) -> int | None:
    level, scale = _find_setting(battery, "level"), _find_setting(battery, "scale") or str(_FULL)
    if not all(re.fullmatch("[0-9]{1,9}", number) for number in (level, scale)):
        return None
    return round(_FULL * int(level) / int(scale)) if int(level) <= int(scale) != 0 else None


def _read_state(battery: str) -> str | None:
    status = _find_setting(battery, "status").lower()
    if _STATUS_NUMBER.fullmatch(status):
        return _BATTERY_STATES.get(status)
    return status if re.fullmatch(r"[a-z][a-z ]{0,19}", status) and status != "unknown" else None


def _parse_battery_doubts(text: str) -> str | None:
    level, tenths = _find_setting(text, "level"), _find_setting(text, "temperature")
    if not level:
        return None
    if not _list_batteries(text):
        return "battery is not there"
    doubts = []
    if parse_battery_percent(text) is None:
        scale = _find_setting(text, "scale") or str(_FULL)
        doubts.append(f"battery reports a level of {level:.20} of {scale:.20}")
    if tenths and _parse_battery_c(text) is None:
        doubts.append(f"battery reports a temperature of {tenths:.20} tenths of a degree")
    return "; ".join(doubts) or None


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


_THROTTLE_SOURCE = f"""
flags={SYSFS}/devices/platform/soc/soc:firmware/get_throttled
if read -r value <"$flags"; then printf '%s\n' "$flags" "$value"; else
    value=$(vcgencmd get_throttled)
    case $value in throttled=*) printf '%s\n' '!vcgencmd get_throttled' "$value" ;; esac
fi"""
_NEXT_BATTERY = "next battery\n"
# The battery of a mouse or a pen has the scope Device.
BATTERY_COMMAND = f"""
dumpsys battery || for supply in {SYSFS}/class/power_supply/*; do
    scope='' present='' status='' voltage=''
    read -r type <"$supply/type" && [ "$type" = Battery ] || continue
    read -r scope <"$supply/scope"
    read -r present <"$supply/present"
    if [ "$scope" = Device ] || [ "$present" = 0 ]; then continue; fi
    read -r level <"$supply/capacity" || continue
    read -r status <"$supply/status"
    read -r voltage <"$supply/voltage_now"
    echo "level: $level"
    echo "voltage: $voltage"
    echo "status: $status"
    echo "next battery"
done"""
_OS_IMAGE = """
getprop ro.build.fingerprint || (. /etc/os-release; echo "$PRETTY_NAME")
uname -v"""

FACTS = (
    Fact("machine", "uname -m", parse=_parse_text),
    Fact("kernel", "uname -r", parse=_parse_text),
    Fact("userland_bits", 'od -An -tu1 -j4 -N1 "$(command -v sh)"', parse=_parse_userland_bits),
    Fact("model", "cat /proc/device-tree/model || getprop ro.product.model", parse=_parse_model),
    Fact("cpu", CORES_COMMAND, parse=_parse_cpu_model),
    Fact("cpu_features", CORES_COMMAND, parse=_parse_cpu_features),
    Fact("cpus_online", CORES_COMMAND, parse=parse_cpus_online),
    Fact("cpus_offline", CORES_COMMAND, parse=parse_cpus_offline),
    Fact("cpu_capacity", CORES_COMMAND, parse=parse_cpu_capacity),
    Fact("cpu_parts", CORES_COMMAND, parse=parse_cpu_parts),
    Fact("cpus", "nproc", parse=_parse_text),
    Fact("memory_bytes", "cat /proc/meminfo", parse=_parse_memory_bytes),
    Fact("glibc", "getconf GNU_LIBC_VERSION", parse=_parse_glibc),
    Fact("android", "getprop ro.build.version.release", parse=_parse_text),
    Fact("free_bytes", "df -k .", parse=_parse_free_bytes),
    Fact(
        "governor",
        f"cat {SYSFS}/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        parse=_parse_text,
    ),
    Fact("temperature_c", THERMAL_COMMAND, parse=parse_temperature_c),
    Fact("temperature_doubts", THERMAL_COMMAND, parse=parse_temperature_doubts),
    Fact("battery_c", "dumpsys battery", parse=_parse_battery_c),
    Fact("battery", BATTERY_COMMAND, parse=_parse_battery),
    Fact("battery_doubts", BATTERY_COMMAND, parse=_parse_battery_doubts),
    Fact("screen", "dumpsys power | grep mWakefulness=", parse=parse_screen),
    Fact("os_image", _OS_IMAGE, parse=_parse_lines),
    Fact("thermal_zones", THERMAL_COMMAND, parse=parse_thermal_zones),
    Fact("cpufreq", CPUFREQ_COMMAND, parse=parse_cpufreq),
    Fact("clock_doubts", CPUFREQ_COMMAND, parse=parse_clock_doubts),
    Fact("throttle_source", _THROTTLE_SOURCE, parse=_parse_throttle_source),
    Fact("throttle_doubts", _THROTTLE_SOURCE, parse=_parse_throttle_doubts),
    Fact("power_sensors", POWER_COMMAND, parse=parse_power_sensors),
    Fact("power_doubts", POWER_COMMAND, parse=parse_power_doubts),
    Fact("taskset", "command -v taskset >/dev/null && echo yes", parse=_parse_text),
    Fact("timeout", "timeout 5 true && echo yes", parse=_parse_text),
    Fact("load_1min", "cat /proc/loadavg", parse=_parse_first_word),
)

_MARK = "\x1e"
_MAX_CHARACTERS = 4_000_000
_MAX_PART = 300_000  # /proc/cpuinfo of a thousand ARM cores
_MAX_NAMES = 1000


def build_facts_script() -> str:
    """Return a script that runs every fact's command; facts with the same command share one run.

    A command that fails, or is not installed on the device, leaves its part empty.
    """
    names: dict[str, list[str]] = {}
    for fact in FACTS:
        names.setdefault(fact.command, []).append(fact.name)
    commands = (
        f"printf '{_MARK}%s\\n' '{' '.join(shared)}'; {{ {command}\n}} 2>/dev/null"
        for command, shared in names.items()
    )
    return "; ".join((*commands, ":"))


def read_facts(printed: str) -> dict[str, str]:
    """Parse the script's output. Facts that the device does not know are missing.

    Each part is read up to a length that no real one has.
    """
    texts: dict[str, str] = {}
    for part in printed[:_MAX_CHARACTERS].split(_MARK)[1:]:
        names, _, text = part.partition("\n")
        texts.update(dict.fromkeys(names[:_MAX_NAMES].split(" "), text[:_MAX_PART]))
    facts = {fact.name: fact.parse(texts[fact.name]) for fact in FACTS if fact.name in texts}
    return {name: value for name, value in facts.items() if value is not None}


def list_doubts(facts: Mapping[str, str]) -> list[str]:
    """Return a sentence for each sensor that is not believed, and for cores that are off."""
    names = [fact.name for fact in FACTS if fact.name.endswith("_doubts")]
    doubts = [f"{facts[name]}; its value stays unknown." for name in names if name in facts]
    if "cpus_offline" in facts:
        doubts.append(f"cores {facts['cpus_offline']} are off; no tool is bound to them.")
    return doubts


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
