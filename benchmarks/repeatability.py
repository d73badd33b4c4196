"""Does a number repeat? `python -m benchmarks.repeatability [--times 10] [--protocol quick]`.

The same two artifacts are measured ten times on this machine, by the harness and by a plain loop over the tool that
runs as many processes and takes their mean; alone, and beside a noisy neighbour that comes and goes.
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

from harness.bench import CANARIES
from harness.bench.tools import RUNNER_FILE, arguments, read
from harness.cli.actions.bench import stores
from harness.cli.actions.session import Session
from harness.config.protocol import protocol_from
from harness.conversion.anatomy import anatomy
from harness.core.bench import Protocol
from harness.core.device import LocalDevice
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact
from harness.core.units import show_us
from harness.fleet.events import CaseMeasured
from harness.fleet.lane import BenchRequest
from harness.fleet.run import bench_fleet
from harness.store.files.workspace import Workspace

MODELS = tuple(CANARIES / f"{name}.tflite" for name in ("float", "binary"))
HERE = LocalDevice(id="here")
NOISE_SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--protocol", default="quick")
    options = parser.parse_args()
    protocol = protocol_from(options.protocol)
    print(
        f"{options.times} times each, protocol {protocol.name}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    for name, beside in (("alone", nothing), ("beside a noisy neighbour", neighbour)):
        with tempfile.TemporaryDirectory() as folder, beside():
            session = Session(Workspace(Path(folder)))
            began = time.monotonic()
            ours = [harness(session, protocol) for _ in range(options.times)]
            ours_s = (time.monotonic() - began) / options.times
            began = time.monotonic()
            loops = [loop(protocol) for _ in range(options.times)]
            loop_s = (time.monotonic() - began) / options.times
        for index, model in enumerate(MODELS):
            harness_us, loop_us = [one[index] for one in ours], [one[index] for one in loops]
            print(
                f"{name:25} {model.stem:7} harness {show_us(median(harness_us)):>8}, spread {spread(harness_us):6.1%}; "
                f"plain loop {show_us(median(loop_us)):>8}, spread {spread(loop_us):6.1%}",
                flush=True,
            )
        print(
            f"{name:25} a measurement of both took {ours_s:.1f} s, the loop {loop_s:.1f} s",
            flush=True,
        )


def spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)


def harness(session: Session, protocol: Protocol) -> list[float]:
    """Microseconds that a whole bench reports for each model."""
    artifacts = [keep(session, model) for model in MODELS]
    order = BenchRequest(tuple(artifacts), {HERE.id: (protocol,)}, force=True)
    events = list(bench_fleet([HERE], {HERE.id: HERE}, order=order, stores=stores(session)))
    found = {
        one.case.artifact: one.measurement.summary.latency_us
        for one in events
        if isinstance(one, CaseMeasured)
    }
    return [found[artifact] for artifact in artifacts]


def keep(session: Session, model: Path) -> str:
    content = model.read_bytes()
    session.files.save(content)
    session.trials.add_artifact(
        Artifact(sha256_of(content), "tflite", size_bytes=len(content), anatomy=anatomy(content)),
        model.name,
    )
    return sha256_of(content)


def loop(protocol: Protocol) -> list[float]:
    """What one would type: one model after the other, so many processes each, and the mean."""
    return [mean(once(protocol, model) for _ in range(protocol.processes)) for model in MODELS]


def once(protocol: Protocol, model: Path) -> float:
    argv = [sys.executable, str(RUNNER_FILE), *arguments(protocol, str(model))]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)
    return read(protocol, 0, stdout=ended.stdout, stderr=ended.stderr).inference.avg_us


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def neighbour() -> Iterator[None]:
    """Keeps a core busy for 1 to 4 seconds, then leaves it for as long, and so on."""
    process = get_context("spawn").Process(target=come_and_go, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def come_and_go() -> None:
    seeded, parent = random.Random(NOISE_SEED), os.getppid()
    while os.getppid() == parent:
        until = time.monotonic() + seeded.uniform(1, 4)
        while time.monotonic() < until:
            pass
        time.sleep(seeded.uniform(1, 4))


if __name__ == "__main__":
    main()
