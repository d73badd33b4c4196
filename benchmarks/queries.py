"""A database of a million runs, queried and written to, on SQLite and PostgreSQL.

    python -m benchmarks.queries [--measurements 100000] [--devices 200] [--seconds 60]
                                 [--writers 8 20] [--sqlite-only]

`benchmarks/_rows.py` inserts the rows in bulk: 10 runs a measurement, 495 artifacts.
Every named query, a filtered `results` and the report are then timed.
Each query runs three times and all its rows are read; the median counts.
A query that takes longer than a second is printed with its plan.
The yardstick is the server itself, reading every column of every measurement.

Then 8 processes, and later 20 (--writers), store measurements as the benches of a fleet do.
Each stores at most twenty a second, with 10 runs each; finally the stored measurements are counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from statistics import median, quantiles
from typing import Any

from sqlalchemy import text

from benchmarks import parse_options
from benchmarks._rows import fill
from benchmarks.train_mlp import machine
from harness.core.bench import (
    PROTOCOLS,
    Case,
    Measurement,
    Process,
    Run,
    Summary,
    Timing,
    Tool,
    ToolLog,
)
from harness.store.database import now, open_database, open_read_only
from harness.store.queries import ParameterValue, load_named_queries
from harness.store.reading import read_repeated_cases, run_query
from harness.store.rows.cases import CaseRows
from tests.postgres import installed, server

SLOW_S = 1.0
FILTERED = "SELECT * FROM results WHERE device = 'board007' AND model = 'quicknet'"
YARDSTICK = "SELECT * FROM measurements"
TOOL = Tool("lce_benchmark_model", "1" * 64, interpreter="")


def main() -> None:
    options = read_options()
    print(
        f"{options.measurements:,} measurements of 10 runs, {options.devices} devices, {machine()}"
    )
    with databases(sqlite_only=options.sqlite_only) as urls:
        for url in urls:
            measure(url, options)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("measurements", 100_000), ("devices", 200), ("seconds", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--writers", type=int, nargs="+", default=[8, 20])
    parser.add_argument("--sqlite-only", action="store_true")
    return parse_options(parser, measurements=1000, devices=20, seconds=1, writers=[2])


@contextmanager
def databases(*, sqlite_only: bool) -> Iterator[list[str]]:
    """Yield the URLs of an empty SQLite database and, where it is installed, a PostgreSQL one."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = [f"sqlite:///{folder}/harness.db"]
        binaries = None if sqlite_only else installed()
        if binaries:
            postgres = stack.enter_context(server(binaries))
            urls.append(stack.enter_context(postgres.new_database()))
        yield urls


def measure(url: str, options: argparse.Namespace) -> None:
    engine = open_database(url)
    seconds = time_call(lambda: fill(engine, options.measurements, fleet=options.devices))
    print(f"\n{engine.dialect.name}: filled in {seconds:.0f} s")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")  # PostgreSQL does so by itself after a minute
    engine.dispose()
    measure_queries(url)
    for name, command in (
        ("harness query", ["query"]),
        ("harness report", ["report", "--out", os.devnull]),
    ):
        seconds = time_call(partial(run_harness, url, *command))
        print(f"{name:24} {seconds:8.2f} s with its start-up")
    for writers in options.writers:
        measure_writers(url, writers, seconds=options.seconds)


def time_call(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_queries(url: str) -> None:
    reader = open_read_only(url)
    queries = {
        name: (query.sql, query.parse_values({})) for name, query in load_named_queries().items()
    }
    queries |= {"results, filtered": (FILTERED, {}), "all measurements": (YARDSTICK, {})}
    for name, (sql, values) in queries.items():
        work = partial(run_query, reader, sql, values)
        seconds = median(time_call(work) for _ in range(3))
        print(f"{name:24} {seconds:8.3f} s {len(work().values):9,} rows", flush=True)
        if seconds > SLOW_S:
            print_plan(url, sql, values=values)
    # Every case of the first device was measured twice, so `harness compare` reads all its runs.
    seconds = median(
        time_call(partial(read_repeated_cases, reader, ["board000"])) for _ in range(3)
    )
    print(f"{'repeated cases, a device':24} {seconds:8.3f} s", flush=True)
    reader.dispose()


def print_plan(url: str, sql: str, values: Mapping[str, ParameterValue]) -> None:
    engine = open_database(url)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        for row in connection.execute(text(f"{explain} {sql}"), dict(values)):
            print(f"    {row[-1]}")
    engine.dispose()


def run_harness(url: str, *command: str) -> None:
    environment = {**os.environ, "HARNESS_DATABASE_URL": url}
    subprocess.run(
        [sys.executable, "-m", "harness", *command],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def measure_writers(url: str, writers: int, seconds: float) -> None:
    """Print how long a measurement takes to store, and how many of them are missing afterwards."""
    spawn = get_context("spawn")
    barrier, queue = spawn.Barrier(writers), spawn.Queue()
    count_before = count_measurements(url)
    processes = [
        spawn.Process(
            target=store_measurements, args=(url, f"{writers}w{number}", seconds, barrier, queue)
        )
        for number in range(writers)
    ]
    for process in processes:
        process.start()
    times: list[float] = []
    for _ in processes:
        times += queue.get()
    for process in processes:
        process.join()
    failed = sum(process.exitcode != 0 for process in processes)
    lost = len(times) - (count_measurements(url) - count_before)
    middle, high = 1e3 * median(times), 1e3 * quantiles(times, n=20)[-1]
    print(
        f"{writers} writers for {seconds} s: {len(times):,} measurements, "
        f"{middle:.1f} ms each (median; 95 % under {high:.1f} ms), "
        f"{lost} lost, {failed} writers failed"
    )


def count_measurements(url: str) -> int:
    reader = open_read_only(url)
    try:
        return int(run_query(reader, "SELECT count(*) FROM measurements").values[0][0])
    finally:
        reader.dispose()


def store_measurements(url: str, device: str, seconds: float, barrier: Barrier, queue: Any) -> None:
    """Store measurements of one device, at most twenty a second, and report how long each took."""
    engine = open_database(url)
    rows, times = CaseRows(engine), []
    reader = open_read_only(url)
    artifact = run_query(reader, "SELECT min(sha256) FROM artifacts").values[0][0]
    measurement = new_measurement(Case(artifact, device, tool=TOOL, protocol=PROTOCOLS["standard"]))
    barrier.wait()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            latest = replace(measurement, measured_at=now())
            times.append(time_call(partial(rows.finish, "ssh", latest)))
            time.sleep(0.05)
    finally:
        queue.put(times)


def new_measurement(case: Case) -> Measurement:
    log = ToolLog(Timing(50, 101.0, min_us=99.0, max_us=110.0, avg_us=100.0, std_us=1.0))
    stdout = "INFO: avg=100\n" * 40
    runs = tuple(
        Run(Process(number, now(), seconds=1.0, exit_code=0, stdout=stdout, stderr=""), log)
        for number in range(1, 11)
    )
    summary = Summary(100.0, 99.0, latency_high_us=101.0, runs=len(runs), peak_memory_bytes=None)
    return Measurement(case, case.artifact, runs=runs, summary=summary, facts={}, measured_at=now())


if __name__ == "__main__":
    main()
