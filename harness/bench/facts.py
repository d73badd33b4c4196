"""Facts of a device: each a command and a pure parser of what it prints."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """`parse` gives None where the command said nothing of use: an unknown, not an error."""

    name: str
    argv: tuple[str, ...]
    parse: Callable[[str], str | None]


def _whole(text: str) -> str | None:
    return text.strip() or None


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
        if found := re.fullmatch(r"MemTotal:\s+(\d+) kB", line.strip()):
            return str(int(found[1]) * 1024)
    return None


FACTS = (
    Fact("machine", ("uname", "-m"), _whole),
    Fact("kernel", ("uname", "-r"), _whole),
    Fact("cpu", ("cat", "/proc/cpuinfo"), _cpu_model),
    Fact("cpu_features", ("cat", "/proc/cpuinfo"), _cpu_features),
    Fact("cpus", ("nproc",), _whole),
    Fact("memory_bytes", ("cat", "/proc/meminfo"), _memory_bytes),
    Fact("governor", ("cat", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), _whole),
    Fact("load_1min", ("cat", "/proc/loadavg"), lambda text: _whole(text.partition(" ")[0])),
)
