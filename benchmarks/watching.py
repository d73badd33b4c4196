"""What watching costs a device: `python -m benchmarks.watching [--devices FILE --device ID]`.

A tool that does nothing runs for half a minute, looked at only before and after, and then also meanwhile; several
times. The difference is the watcher's: CPU time by the device's own account, `sleep` and all, as a share of one core.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from harness.bench.watch import counts
from harness.config.device_file import read_devices
from harness.core.device import Device, LocalDevice
from harness.devices import Transport, open_transport

TOOL_S = 30
PAIRS = 3
FILES = 10  # as many as a board has temperatures and clocks worth a look
PROMISED = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--devices", type=Path, help="the registry; without it, this machine is measured"
    )
    parser.add_argument(
        "--device", action="append", help="an id of it; without it, all that are enabled"
    )
    arguments = parser.parse_args()
    registry = (
        {one.id: one for one in read_devices(arguments.devices)} if arguments.devices else here()
    )
    for device in arguments.device or [one.id for one in registry.values() if one.enabled]:
        measure(registry[device], registry)


def here() -> dict[str, Device]:
    return {"here": LocalDevice(id="here")}


def measure(device: Device, registry: Mapping[str, Device]) -> None:
    transport = open_transport(device, registry, local_folder=Path(".harness") / "watching")
    try:
        sources = lay_out(transport)
        pairs = [(run(transport, []), run(transport, sources)) for _ in range(PAIRS)]
    finally:
        transport.close()
    shares = [(watched_s - alone_s) / TOOL_S for alone_s, watched_s in pairs]
    kept = "under" if fmean(shares) < PROMISED else "over"
    each = ", ".join(f"{share:.2%}" for share in shares)
    print(
        f"{device.id}: {fmean(shares):.2%} of one core ({each}), {kept} {PROMISED:.0%}", flush=True
    )


def lay_out(transport: Transport) -> list[str]:
    """Plain files stand in for sensors: an emulated board has none."""
    numbers = range(FILES)
    write = "; ".join(f"echo 45000 >sensors/{number}" for number in numbers)
    folder = transport.run_script(f"mkdir -p sensors; {write}; cd sensors; pwd").stdout.rstrip("\n")
    return [f"{folder}/{number}" for number in numbers]


def run(transport: Transport, sources: list[str]) -> float:
    """CPU time of the tool and what watches it, in seconds."""
    before, after = counts(transport.run(["sleep", str(TOOL_S)], 2 * TOOL_S, watch=sources).watch)
    return after.own_s - before.own_s


if __name__ == "__main__":
    main()
