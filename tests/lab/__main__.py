"""The command `python -m tests.lab up|down|status`, for root.

If LAB_LCE_BENCHMARK_AARCH64 is set, `up` also adds that tool to the workspace.
"""

import subprocess
import sys
import time
from pathlib import Path

from tests.harness_cli import COMMAND
from tests.lab.lab import TOOL, Lab, find_real_tool

LAB = Lab(Path(__file__).parents[2] / ".lab")


def main() -> int:
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command == "up":
        started = time.monotonic()
        LAB.up()
        if (tool := find_real_tool()) is not None:
            subprocess.run([*COMMAND, "tools", "add", TOOL, "--file", tool], check=True)
        print_status()
        duration_s = time.monotonic() - started
        print(f"Up in {duration_s:.0f} s: harness devices check --devices {LAB.devices_file}")
    elif command == "down":
        LAB.down()
    elif command == "status":
        print_status()
    else:
        print(__doc__)
        return 2
    return 0


def print_status() -> None:
    for machine in LAB.machines.values():
        print(
            f"{machine.name:10} {machine.kind.address:15} {'up' if machine.is_running else 'down'}"
        )


if __name__ == "__main__":
    sys.exit(main())
