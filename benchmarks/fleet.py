"""The fleet's own cost beside a plain `ssh` loop: `python -m benchmarks.fleet [--devices 1,16,64,256]`.

Devices are simulated: SSH endpoints of one other process, which shares this machine's cores with what is measured.
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

from harness.bench.tools import arguments
from harness.cli.actions.bench import stores
from harness.cli.actions.session import Session
from harness.config.device_file import read_devices
from harness.conversion.anatomy import anatomy
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.device import Device, SshDevice
from harness.core.ids import sha256_of, sha256_of_file
from harness.core.sweep import Artifact
from harness.devices import open_transport
from harness.fleet.events import DeviceSetAside, LaneEnded
from harness.fleet.lane import BenchRequest
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
)  # as the loop has it
BIG_BYTES = 150_000_000


@dataclass(frozen=True)
class Took:
    """A bench of a fleet: `seconds` in all, `cpu_s` and `peak_bytes` of the process that ran it."""

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
    options = parser.parse_args()
    if options.run:
        folder, sleep_s, force, threads = options.run
        print(
            json.dumps(
                vars(
                    bench(
                        Path(folder),
                        float(sleep_s),
                        force=force == "1",
                        threads=json.loads(threads),
                    )
                )
            )
        )
        return
    for count in map(int, options.devices.split(",")):
        overhead(count)
    makespan(16, 2.0)
    push()


def overhead(count: int) -> None:
    """Time beyond the tool's own, which is next to nothing here: all of it is the harness's, or the loop's."""
    with simulated(count) as folder:
        first, again = run(folder, 0.0), run(folder, 0.0, force=True)
        loop_s = ssh_loop(folder)
    cases = len(MODELS)
    print(
        f"{count:4} devices: {again.seconds / cases:7.3f} s a case (first bench {first.seconds / cases:.3f}), "
        f"ssh loop {loop_s / cases:7.3f} s, ratio {again.seconds / loop_s:.2f}; "
        f"{again.peak_bytes / 1e6:.0f} MB, {again.cpu_s:.1f} s of CPU; second bench pushed {again.pushed_bytes} bytes"
        + (f"; {again.set_aside} SET ASIDE" if again.set_aside else ""),
        flush=True,
    )


def makespan(count: int, sleep_s: float) -> None:
    """The whole bench of six cases a device, as the quickstart has, against what the busiest device works by itself."""
    with simulated(count) as folder:
        took = run(folder, sleep_s, threads=(1, 2, 4))
        own_s = busiest_s(folder)
    print(
        f"makespan of {count} devices: {took.seconds:.1f} s, the busiest device's own {own_s:.1f} s: "
        f"{took.seconds / own_s - 1:+.1%}",
        flush=True,
    )


def busiest_s(folder: Path) -> float:
    """By the devices' own clocks, as each run's row has it."""
    with closing(sqlite3.connect(folder / "workspace" / "harness.db")) as database:
        (seconds,) = database.execute(
            "SELECT max(total) FROM (SELECT sum(r.seconds) AS total FROM runs AS r JOIN measurements AS m"
            " ON m.id = r.measurement_id JOIN cases AS c ON c.id = m.case_id GROUP BY c.device)"
        ).fetchone()
    return float(seconds)


def push() -> None:
    """Bytes that don't shrink, to a real sshd."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sshd = Sshd.start(folder)
        big = folder / "big"
        big.write_bytes(os.urandom(BIG_BYTES))
        transport = open_transport(
            sshd.device(folder=str(folder / "work")), {}, local_folder=folder
        )
        transport.connect()
        began = time.perf_counter()
        transport.push(big, sha256_of_file(big), name="big")
        ours_s = time.perf_counter() - began
        transport.close()
        user = sshd.device().user
        began = time.perf_counter()
        subprocess.run(
            [
                "scp",
                "-O",
                "-q",
                *options_of(sshd.key, sshd.port),
                big,
                f"{user}@127.0.0.1:{folder}/copy",
            ],
            check=True,
        )
        scp_s = time.perf_counter() - began
        sshd.stop()
    print(
        f"push of {BIG_BYTES / 1e6:.0f} MB: {ours_s:.2f} s, checked there; "
        f"scp {scp_s:.2f} s; ratio {ours_s / scp_s:.2f}"
    )


@contextmanager
def simulated(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        argv = [sys.executable, "-m", "tests.simulated", "--count", str(count), "--folder", name]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as fleet:
            assert fleet.stdout is not None
            assert fleet.stdout.readline() == "ready\n"
            yield Path(name)
            fleet.terminate()


def run(folder: Path, sleep_s: float, force: bool = False, threads: tuple[int, ...] = (1,)) -> Took:
    """In a process of its own, whose memory is then the bench's."""
    argv = [
        sys.executable,
        "-m",
        "benchmarks.fleet",
        "--run",
        str(folder),
        str(sleep_s),
        str(int(force)),
        json.dumps(threads),
    ]
    environment = {**os.environ, HOME_VARIABLE: str(folder / "workspace")}
    ended = subprocess.run(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return Took(**json.loads(ended.stdout))


def bench(folder: Path, sleep_s: float, force: bool, threads: Sequence[int]) -> Took:
    session = Session.here()
    session.tools.add(
        "tool", tools.script(folder / "tool", f"sleep {sleep_s}\n{tools.NUMBERS}").read_bytes()
    )
    devices = [with_tool(device) for device in read_devices(folder / "devices.yaml")]
    artifacts = tuple(own_model(session, model) for model in MODELS)
    protocols = tuple(replace(PROTOCOL, threads=count) for count in threads)
    order = BenchRequest(artifacts, {device.id: protocols for device in devices}, force=force)
    began = time.perf_counter()
    events = list(bench_fleet(devices, {}, order=order, stores=stores(session)))
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    pushed = sum(event.pushed_bytes for event in events if isinstance(event, LaneEnded))
    set_aside = sum(isinstance(event, DeviceSetAside) for event in events)
    return Took(
        seconds,
        used.ru_utime + used.ru_stime,
        peak_bytes=used.ru_maxrss * 1024,
        pushed_bytes=pushed,
        set_aside=set_aside,
    )


def with_tool(device: Device) -> Device:
    return replace(device, tool="tool")


def own_model(session: Session, file: Path) -> str:
    content = file.read_bytes()
    session.files.save(content)
    session.trials.add_artifact(
        Artifact(sha256_of(content), "tflite", size_bytes=len(content), anatomy=anatomy(content)),
        file.name,
    )
    return sha256_of(content)


def ssh_loop(folder: Path) -> float:
    """What one would type: a master connection to each device, then one command a process of the tool."""
    devices: Sequence[Any] = read_devices(folder / "devices.yaml")
    began = time.perf_counter()
    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(lambda device: ssh_one(device, folder), devices))
    return time.perf_counter() - began


def ssh_one(device: SshDevice, folder: Path) -> None:
    assert device.key is not None
    assert device.port is not None
    control = f"{folder}/{device.id}.ctl"
    ssh = [
        "ssh",
        *options_of(Path(device.key), device.port, flag="-p"),
        "-o",
        f"ControlPath={control}",
        f"{device.user}@{device.host}",
    ]
    subprocess.run([ssh[0], "-MNf", *ssh[1:]], check=True, **QUIET)
    tool = shutil.copy(folder / "tool", folder / device.id / "home" / "tool")
    for model in MODELS:
        for _ in range(PROTOCOL.processes):
            subprocess.run(
                [*ssh, f"sh {tool} {' '.join(arguments(PROTOCOL, model.name))}"],
                check=True,
                **QUIET,
            )
    subprocess.run([ssh[0], "-O", "exit", *ssh[1:]], check=False, **QUIET)


def options_of(key: Path, port: int, flag: str = "-P") -> list[str]:
    unchecked = (
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    )
    return ["-i", str(key), flag, str(port), *unchecked]


if __name__ == "__main__":
    main()
