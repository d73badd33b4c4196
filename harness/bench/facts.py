"""Facts of a device: each a command and a pure parser of what it prints. All are asked at once, by one script."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.core.units import degrees_c


@dataclass(frozen=True)
class Fact:
    """`command` is POSIX shell; `parse` gives None where it said nothing of use: an unknown, not an error."""

    name: str
    command: str
    parse: Callable[[str], str | None]


def _whole(text: str) -> str | None:
    return text.strip() or None


def _first_word(text: str) -> str | None:
    return _whole(text.partition(" ")[0])


def _cpu_model(text: str) -> str | None:
    """From /proc/cpuinfo: `model name` on x86, the SoC's `Hardware` or `Model` line on ARM."""
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
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
    degrees = degrees_c(text.split())
    return f"{max(degrees):g}" if degrees else None


def _battery_c(text: str) -> str | None:
    """From Android's `dumpsys battery`, in tenths of a degree."""
    found = re.search(r"^\s*temperature: ([0-9]{1,9})$", text, re.MULTILINE)
    return f"{int(found[1]) / 10:g}" if found else None


def _model(text: str) -> str | None:
    return _whole(text.replace("\0", ""))


FACTS = (
    Fact("machine", "uname -m", _whole),
    Fact("kernel", "uname -r", _whole),
    Fact("userland_bits", 'od -An -tu1 -j4 -N1 "$(command -v sh)"', _userland_bits),
    Fact("model", "cat /proc/device-tree/model || getprop ro.product.model", _model),
    Fact("cpu", "cat /proc/cpuinfo", _cpu_model),
    Fact("cpu_features", "cat /proc/cpuinfo", _cpu_features),
    Fact("cpus", "nproc", _whole),
    Fact("memory_bytes", "cat /proc/meminfo", _memory_bytes),
    Fact("glibc", "getconf GNU_LIBC_VERSION", _glibc),
    Fact("android", "getprop ro.build.version.release", _whole),
    Fact("free_bytes", "df -k .", _free_bytes),
    Fact("governor", "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", _whole),
    Fact("temperature_c", "cat /sys/class/thermal/thermal_zone*/temp", _hottest_c),
    Fact("battery_c", "dumpsys battery", _battery_c),
    Fact("load_1min", "cat /proc/loadavg", _first_word),
)

_MARK = "\x1e"


def script() -> str:
    """Asks them all: one that fails, or has no program there, leaves its part empty."""
    return "; ".join(f"printf '{_MARK}%s\\n' {fact.name}; {{ {fact.command}; }} 2>/dev/null" for fact in FACTS) + "; :"


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
    if machine in ("aarch64", "arm64", "armv8l", "armv7l") and (bits == "32" or machine.startswith("armv")):
        return "aarch32"
    if machine in ("aarch64", "arm64"):
        return "android-arm64" if "android" in facts else "aarch64"
    return None
