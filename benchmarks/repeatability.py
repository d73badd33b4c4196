"""Repeatability of results: `python -m benchmarks.repeatability [--times 10] [--protocol quick]`.

The same two artifacts are measured ten times on this machine, by the harness and by a plain loop.
The loop runs the tool in as many processes and takes the mean.
Both are measured on an idle machine and beside a noisy neighbour that comes and goes.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median

from benchmarks import parse_options
from benchmarks.fleet import store_model
from harness.bench import CANARIES
from harness.bench.tools import RUNNER_FILE, make_arguments, read_output
from harness.cli.actions.bench import make_fleet_stores
from harness.cli.actions.session import Session
from harness.config.protocol import parse_protocol
from harness.core.bench import Protocol
from harness.core.device import LocalDevice
from harness.core.units import format_us
from harness.fleet.events import CaseMeasured
from harness.fleet.plan import FleetRequest
from harness.fleet.run import bench_fleet
from harness.store.files.workspace import Workspace

MODELS = tuple(CANARIES / f"{name}.tflite" for name in ("float", "binary"))
THIS_MACHINE = LocalDevice(id="here")
NOISE_SEED = 7
QUICK_PROTOCOL = "quick,processes=2,max_processes=2,target=0,gates=off,canary=off,answers=off"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--protocol", default="quick")
    options = parse_options(parser, times=1, protocol=QUICK_PROTOCOL)
    protocol = parse_protocol(options.protocol)
    print(
        f"{options.times} times each, protocol {protocol.name}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    for name, surroundings in (("alone", nothing), ("beside a noisy neighbour", noisy_neighbour)):
        with tempfile.TemporaryDirectory() as folder, surroundings():
            session = Session(Workspace(Path(folder)))
            started = time.monotonic()
            harness_results = [measure(session, protocol) for _ in range(options.times)]
            harness_s = (time.monotonic() - started) / options.times
            started = time.monotonic()
            loop_results = [measure_in_loop(protocol) for _ in range(options.times)]
            loop_s = (time.monotonic() - started) / options.times
        for index, model in enumerate(MODELS):
            harness_us = [latencies[index] for latencies in harness_results]
            loop_us = [latencies[index] for latencies in loop_results]
            print(
                f"{name:25} {model.stem:7} "
                f"harness {format_us(median(harness_us)):>8}, spread {spread(harness_us):6.1%}; "
                f"plain loop {format_us(median(loop_us)):>8}, spread {spread(loop_us):6.1%}",
                flush=True,
            )
        print(
            f"{name:25} a measurement of both took {harness_s:.1f} s, the loop {loop_s:.1f} s",
            flush=True,
        )


def spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)


def measure(session: Session, protocol: Protocol) -> list[float]:
    """Return the microseconds that a complete bench reports for each model."""
    artifacts = [store_model(session, model) for model in MODELS]
    request = FleetRequest(tuple(artifacts), {THIS_MACHINE.id: (protocol,)}, force=True)
    registry = {THIS_MACHINE.id: THIS_MACHINE}
    events = bench_fleet(
        [THIS_MACHINE], registry, request=request, stores=make_fleet_stores(session)
    )
    latencies_us = {
        event.case.artifact: event.measurement.summary.latency_us
        for event in events
        if isinstance(event, CaseMeasured)
    }
    return [latencies_us[artifact] for artifact in artifacts]


def measure_in_loop(protocol: Protocol) -> list[float]:
    """Return each model's mean over the protocol's processes, one model after the other."""
    return [mean_latency_us(protocol, model) for model in MODELS]


def mean_latency_us(protocol: Protocol, model: Path) -> float:
    return mean(run_tool(protocol, model) for _ in range(protocol.processes))


def run_tool(protocol: Protocol, model: Path) -> float:
    argv = [sys.executable, str(RUNNER_FILE), *make_arguments(protocol, str(model))]
    completed = subprocess.run(argv, capture_output=True, text=True, check=True)
    return read_output(
        protocol, 0, stdout=completed.stdout, stderr=completed.stderr
    ).inference.avg_us


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def noisy_neighbour() -> Iterator[None]:
    """Keep a core busy for 1 to 4 seconds, leave it idle for 1 to 4 seconds, and so on."""
    process = get_context("spawn").Process(target=come_and_go, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def come_and_go() -> None:
    generator, parent = random.Random(NOISE_SEED), os.getppid()
    while os.getppid() == parent:
        busy_until = time.monotonic() + generator.uniform(1, 4)
        while time.monotonic() < busy_until:
            pass
        time.sleep(generator.uniform(1, 4))


if __name__ == "__main__":
    main()
