"""A tree of plain files that stands in for a device's /sys.

A sensor shows what a test, or its tool, has written.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sysfs:
    """The tree below `root`, to which HARNESS_SYSFS points."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Sysfs":
        """Create a board with a slow core and a fast one, at 40 °C and not throttled."""
        board = cls(root)
        board.write(board.temperature, 40_000)
        board.write(board.temperature.with_name("type"), "cpu-thermal")
        board.write(board.throttled, 0)
        for policy, cpus, khz in ((0, "0", 1_000_000), (1, "1", 2_000_000)):
            folder = board.policy(policy)
            board.write(folder / "related_cpus", cpus)
            board.write(folder / "cpuinfo_max_freq", khz)
            board.write(folder / "scaling_cur_freq", khz)
            board.write(folder / "scaling_governor", "ondemand")
            board.write(folder / "scaling_available_governors", "ondemand performance")
        board.write(board.power.with_name("name"), "ina226")
        board.write(root / "devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand")
        return board

    @property
    def temperature(self) -> Path:
        """The file of the temperature, in thousandths of a degree Celsius."""
        return self.root / "class/thermal/thermal_zone0/temp"

    @property
    def throttled(self) -> Path:
        """The file of the throttling flags, in hexadecimal."""
        return self.root / "devices/platform/soc/soc:firmware/get_throttled"

    @property
    def power(self) -> Path:
        """The file of the power, in microwatts. The board has no such sensor before a write."""
        return self.root / "class/hwmon/hwmon0/power1_input"

    def policy(self, number: int) -> Path:
        return self.root / f"devices/system/cpu/cpufreq/policy{number}"

    def write(self, file: Path, value: object) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        part.write_text(f"{value}\n")
        part.replace(file)  # readers see the earlier value or this one, never a part
