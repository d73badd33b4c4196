"""A tree of plain files that stands in for a device's /sys: what a sensor says is what a test, or its tool, writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sysfs:
    """The root is HARNESS_SYSFS."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Sysfs":
        """A board of two slow cores and two fast ones at 40 °C, throttled by nothing."""
        made = cls(root)
        made.write(made.temperature, 40_000)
        made.write(made.temperature.with_name("type"), "cpu-thermal")
        made.write(made.throttled, 0)
        for policy, cpus, khz in ((0, "0", 1_000_000), (1, "1", 2_000_000)):
            folder = made.policy(policy)
            made.write(folder / "related_cpus", cpus)
            made.write(folder / "cpuinfo_max_freq", khz)
            made.write(folder / "scaling_cur_freq", khz)
            made.write(folder / "scaling_governor", "ondemand")
            made.write(folder / "scaling_available_governors", "ondemand performance")
        made.write(root / "devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand")
        return made

    @property
    def temperature(self) -> Path:
        """Millidegrees."""
        return self.root / "class/thermal/thermal_zone0/temp"

    @property
    def throttled(self) -> Path:
        """Flags, in hexadecimal."""
        return self.root / "devices/platform/soc/soc:firmware/get_throttled"

    @property
    def power(self) -> Path:
        """Microwatts; the board has no such sensor before this is written."""
        return self.root / "class/hwmon/hwmon0/power1_input"

    def policy(self, number: int) -> Path:
        return self.root / f"devices/system/cpu/cpufreq/policy{number}"

    def write(self, file: Path, value: object) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        part.write_text(f"{value}\n")
        part.replace(file)  # whoever reads meanwhile reads the one or the other
