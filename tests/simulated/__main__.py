"""A simulated fleet in its own process: `python -m tests.simulated --count 64 --folder DIR`.

It prints `ready` when all endpoints listen and DIR/devices.yaml is written. When standard input
closes, or on SIGTERM, it ends with all the processes that it started.
"""

import argparse
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.simulated.fleet import SimulatedFleet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulated", description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--delay-s", type=float, default=0.0, help="one way, for all endpoints")
    parser.add_argument(
        "--loss", type=float, default=0.0, help="probability that a chunk ends its connection"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # The handler only writes to a pipe: an exception could interrupt the clean-up.
    terminated, terminate = os.pipe()
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.write(terminate, b"."))
    with (
        suppress(KeyboardInterrupt),
        SimulatedFleet(options.count, options.folder, seed=options.seed) as fleet,
    ):
        for endpoint in fleet.endpoints:
            endpoint.wire.delay_s = options.delay_s
            endpoint.wire.loss = options.loss
        fleet.write_devices(fleet.folder / "devices.yaml")
        print("ready", flush=True)
        select.select([sys.stdin, terminated], [], [])


if __name__ == "__main__":
    main()
