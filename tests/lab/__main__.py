"""`python -m tests.lab up|down|status`, as root. With LAB_LCE_BENCHMARK_AARCH64, the workspace gets that tool, too."""

import subprocess
import sys
import time
from pathlib import Path

from tests.harness_cli import COMMAND
from tests.lab.lab import TOOL, Lab, real_tool

LAB = Lab(Path(__file__).parents[2] / ".lab")


def main() -> int:
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command == "up":
        began = time.monotonic()
        LAB.up()
        if (tool := real_tool()) is not None:
            subprocess.run([*COMMAND, "tools", "add", TOOL, "--file", tool], check=True)
        status()
        print(
            f"Up in {time.monotonic() - began:.0f} s: harness devices check --devices {LAB.devices_file}"
        )
    elif command == "down":
        LAB.down()
    elif command == "status":
        status()
    else:
        print(__doc__)
        return 2
    return 0


def status() -> None:
    for machine in LAB.machines.values():
        print(
            f"{machine.name:10} {machine.kind.address:15} {'up' if machine.is_running else 'down'}"
        )


if __name__ == "__main__":
    sys.exit(main())
