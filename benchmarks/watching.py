"""The cost of watching a device: `python -m benchmarks.watching [--devices FILE --device ID]`.

A tool that only sleeps runs for half a minute, several times.
Half of the runs are sampled only before and after, the others also while the tool runs.
The difference in CPU time is the watcher's cost, as a share of one core.
The device itself accounts for the CPU time; the watcher's `sleep` processes are included.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from benchmarks import parse_options
from harness.bench.watch import read_cpu_times
from harness.config.device_file import read_devices
from harness.core.device import Device, LocalDevice
from harness.devices import Transport, open_transport

FILES = 10  # as many temperatures and clocks as a typical board offers
DOCUMENTED_SHARE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=Path, help="the registry (default: measure this machine)")
    parser.add_argument(
        "--device",
        action="append",
        help="a device's id, may repeat (default: every enabled device)",
    )
    parser.add_argument("--seconds", type=int, default=30, help="how long the tool runs")
    parser.add_argument("--pairs", type=int, default=3, help="runs with and without watching")
    options = parse_options(parser, seconds=1, pairs=1)
    devices = read_devices(options.devices) if options.devices else [LocalDevice(id="here")]
    registry: dict[str, Device] = {device.id: device for device in devices}
    enabled = [device.id for device in devices if device.enabled]
    for device_id in options.device or enabled:
        measure(registry[device_id], registry, options=options)


def measure(device: Device, registry: Mapping[str, Device], options: argparse.Namespace) -> None:
    """Print the share of one core that watching takes on a device."""
    transport = open_transport(device, registry, local_folder=Path(".harness") / "watching")
    try:
        sources = write_sensor_files(transport)
        pairs = [
            (
                run(transport, [], tool_s=options.seconds),
                run(transport, sources, tool_s=options.seconds),
            )
            for _ in range(options.pairs)
        ]
    finally:
        transport.close()
    shares = [(watched_s - unwatched_s) / options.seconds for unwatched_s, watched_s in pairs]
    verdict = "under" if fmean(shares) < DOCUMENTED_SHARE else "over"
    details = ", ".join(f"{share:.2%}" for share in shares)
    print(
        f"{device.id}: {fmean(shares):.2%} of one core ({details}), "
        f"{verdict} {DOCUMENTED_SHARE:.0%}",
        flush=True,
    )


def write_sensor_files(transport: Transport) -> list[str]:
    """Write plain files that stand in for sensors, and return their paths.

    An emulated board has no sensors.
    """
    numbers = range(FILES)
    write = "; ".join(f"echo 45000 >sensors/{number}" for number in numbers)
    folder = transport.run_script(f"mkdir -p sensors; {write}; cd sensors; pwd").stdout.rstrip("\n")
    return [f"{folder}/{number}" for number in numbers]


def run(transport: Transport, sources: list[str], tool_s: int) -> float:
    """Return the CPU time of the tool and its watcher, in seconds."""
    before, after = read_cpu_times(
        transport.run(["sleep", str(tool_s)], 2 * tool_s + 60, watch=sources).watch
    )
    return after.own_s - before.own_s


if __name__ == "__main__":
    main()
