"""The fleet's overhead beside a plain `ssh` loop: `python -m benchmarks.fleet [--devices 1,16,64]`.

The devices are simulated: SSH endpoints served by one other process.
That process shares this machine's cores with the code under test.
"""

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import parse_options
from harness.bench.tools import make_arguments
from harness.cli.actions.bench import make_fleet_stores
from harness.cli.actions.session import Session
from harness.config.device_file import read_devices
from harness.conversion.anatomy import read_anatomy
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.device import Device, SshDevice
from harness.core.ids import sha256_of, sha256_of_file
from harness.core.sweep import Artifact
from harness.devices import open_transport
from harness.fleet.events import DeviceSetAside, LaneEnded
from harness.fleet.plan import FleetRequest
from harness.fleet.run import bench_fleet
from harness.store.files.workspace import HOME_VARIABLE
from tests import tools
from tests.sshd import Sshd

QUIET: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
ROOT = Path(__file__).parents[1]
MODELS = [
    ROOT / "tests" / "data" / "models" / f"{name}.tflite" for name in ("binary_64", "float_64")
]
PROTOCOL: Protocol = replace(
    PROTOCOLS["quick"], gates=None, canary=False, answers=False
)  # the loop has none of these either


@dataclass(frozen=True)
class BenchCost:
    """The cost of benching a fleet; `cpu_s` and `peak_bytes` are those of the benching process."""

    seconds: float
    cpu_s: float
    peak_bytes: int
    pushed_bytes: int
    set_aside: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", default="1,16,64,256")
    parser.add_argument(
        "--run", nargs=4, metavar=("FOLDER", "SLEEP", "FORCE", "THREADS"), help=argparse.SUPPRESS
    )
    parser.add_argument("--busy-devices", type=int, default=16, help="devices of the makespan")
    parser.add_argument(
        "--busy-s", type=float, default=2.0, help="seconds that a process takes there"
    )
    parser.add_argument("--push-mb", type=int, default=150, help="megabytes of the file to push")
    options = parse_options(parser, devices="1,2", busy_devices=2, busy_s=0.1, push_mb=5)
    if options.run:
        folder, sleep_s, force, threads = options.run
        cost = bench(Path(folder), float(sleep_s), force=force == "1", threads=json.loads(threads))
        print(json.dumps(vars(cost)))
        return
    for count in map(int, options.devices.split(",")):
        measure_overhead(count)
    measure_makespan(options.busy_devices, options.busy_s)
    measure_push(options.push_mb * 1_000_000)


def measure_overhead(count: int) -> None:
    """Print the time per case for a tool that takes almost no time itself."""
    with simulated(count) as folder:
        first, second = run_bench(folder, 0.0), run_bench(folder, 0.0, force=True)
        loop_s = run_ssh_loop(folder)
    cases = len(MODELS)
    print(
        f"{count:4} devices: {second.seconds / cases:7.3f} s a case "
        f"(first bench {first.seconds / cases:.3f}), "
        f"ssh loop {loop_s / cases:7.3f} s, ratio {second.seconds / loop_s:.2f}; "
        f"{second.peak_bytes / 1e6:.0f} MB, {second.cpu_s:.1f} s of CPU; "
        f"second bench pushed {second.pushed_bytes} bytes"
        + (f"; {second.set_aside} SET ASIDE" if second.set_aside else ""),
        flush=True,
    )


def measure_makespan(count: int, sleep_s: float) -> None:
    """Print a bench's wall-clock time, and how far it exceeds the busiest device's own time.

    Each device runs six cases, as in the quickstart.
    """
    with simulated(count) as folder:
        cost = run_bench(folder, sleep_s, threads=(1, 2, 4))
        busiest_s = busiest_device_s(folder)
    print(
        f"makespan of {count} devices: {cost.seconds:.1f} s; "
        f"the busiest device alone: {busiest_s:.1f} s; {cost.seconds / busiest_s - 1:+.1%}",
        flush=True,
    )


def busiest_device_s(folder: Path) -> float:
    """Return the run time of the busiest device, by the devices' own clocks."""
    with closing(sqlite3.connect(folder / "workspace" / "harness.db")) as database:
        (seconds,) = database.execute(
            "SELECT max(total) FROM (SELECT sum(r.seconds) AS total FROM runs AS r"
            " JOIN measurements AS m ON m.id = r.measurement_id"
            " JOIN cases AS c ON c.id = m.case_id GROUP BY c.device)"
        ).fetchone()
    return float(seconds)


def measure_push(size_bytes: int) -> None:
    """Push incompressible bytes to a real sshd, and compare with `scp`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sshd = Sshd.start(folder)
        big = folder / "big"
        big.write_bytes(os.urandom(size_bytes))
        transport = open_transport(
            sshd.device(folder=str(folder / "work")), {}, local_folder=folder
        )
        transport.connect()
        started = time.perf_counter()
        transport.push(big, sha256_of_file(big), name="big")
        push_s = time.perf_counter() - started
        transport.close()
        user = sshd.device().user
        options = ssh_options(sshd.key, sshd.port)
        started = time.perf_counter()
        subprocess.run(
            ["scp", "-O", "-q", *options, big, f"{user}@127.0.0.1:{folder}/copy"], check=True
        )
        scp_s = time.perf_counter() - started
        sshd.stop()
    print(
        f"push of {size_bytes / 1e6:.0f} MB: {push_s:.2f} s with the checksum verified; "
        f"scp {scp_s:.2f} s; ratio {push_s / scp_s:.2f}"
    )


@contextmanager
def simulated(count: int) -> Iterator[Path]:
    """Serve simulated devices, and yield the folder with their `devices.yaml`."""
    with tempfile.TemporaryDirectory() as name:
        argv = [sys.executable, "-m", "tests.simulated", "--count", str(count), "--folder", name]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as fleet:
            assert fleet.stdout is not None
            assert fleet.stdout.readline() == "ready\n"
            yield Path(name)
            fleet.terminate()


def run_bench(
    folder: Path, sleep_s: float, *, force: bool = False, threads: tuple[int, ...] = (1,)
) -> BenchCost:
    """Bench in a separate process, so that its memory and CPU time are the bench's alone."""
    request = [str(folder), str(sleep_s), str(int(force)), json.dumps(threads)]
    argv = [sys.executable, "-m", "benchmarks.fleet", "--run", *request]
    environment = {**os.environ, HOME_VARIABLE: str(folder / "workspace")}
    completed = subprocess.run(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return BenchCost(**json.loads(completed.stdout))


def bench(folder: Path, sleep_s: float, *, force: bool, threads: Sequence[int]) -> BenchCost:
    """Bench every model on every device of the folder, in this process."""
    session = Session.from_environment()
    session.tools.add(
        "tool",
        tools.write_script(folder / "tool", f"sleep {sleep_s}\n{tools.NUMBERS}").read_bytes(),
    )
    devices = [with_tool(device) for device in read_devices(folder / "devices.yaml")]
    artifacts = tuple(store_model(session, model) for model in MODELS)
    protocols = tuple(replace(PROTOCOL, threads=count) for count in threads)
    request = FleetRequest(artifacts, {device.id: protocols for device in devices}, force=force)
    started = time.perf_counter()
    events = list(bench_fleet(devices, {}, request=request, stores=make_fleet_stores(session)))
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pushed = sum(event.pushed_bytes for event in events if isinstance(event, LaneEnded))
    set_aside = sum(isinstance(event, DeviceSetAside) for event in events)
    return BenchCost(
        seconds,
        usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        pushed_bytes=pushed,
        set_aside=set_aside,
    )


def with_tool(device: Device) -> Device:
    return replace(device, tool="tool")


def store_model(session: Session, file: Path) -> str:
    """Store a model file as an artifact, and return its SHA-256."""
    content = file.read_bytes()
    session.files.save(content)
    session.trials.add_artifact(
        Artifact(
            sha256_of(content), "tflite", size_bytes=len(content), anatomy=read_anatomy(content)
        ),
        file.name,
    )
    return sha256_of(content)


def run_ssh_loop(folder: Path) -> float:
    """Return the seconds that the same work takes in a plain loop over `ssh`.

    Each device gets a master connection, then one command for each process of the tool.
    """
    devices: Sequence[Any] = read_devices(folder / "devices.yaml")
    started = time.perf_counter()
    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(lambda device: run_over_ssh(device, folder), devices))
    return time.perf_counter() - started


def run_over_ssh(device: SshDevice, folder: Path) -> None:
    assert device.key is not None
    assert device.port is not None
    control = f"{folder}/{device.id}.ctl"
    ssh = [
        "ssh",
        *ssh_options(Path(device.key), device.port, port_flag="-p"),
        "-o",
        f"ControlPath={control}",
        f"{device.user}@{device.host}",
    ]
    subprocess.run([ssh[0], "-MNf", *ssh[1:]], check=True, **QUIET)
    tool = shutil.copy(folder / "tool", folder / device.id / "home" / "tool")
    for model in MODELS:
        for _ in range(PROTOCOL.processes):
            subprocess.run(
                [*ssh, f"sh {tool} {' '.join(make_arguments(PROTOCOL, model.name))}"],
                check=True,
                **QUIET,
            )
    subprocess.run([ssh[0], "-O", "exit", *ssh[1:]], check=False, **QUIET)


def ssh_options(key: Path, port: int, port_flag: str = "-P") -> list[str]:
    unchecked = (
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    )
    return ["-i", str(key), port_flag, str(port), *unchecked]


if __name__ == "__main__":
    main()
