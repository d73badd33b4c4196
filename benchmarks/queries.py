"""A million runs: every named query, `results` filtered, the report, and writers at it, on SQLite and PostgreSQL.

    python -m benchmarks.queries [--measurements 100000] [--devices 200] [--seconds 60] [--sqlite-only]

Rows come by bulk insert from `benchmarks/rows.py`: 10 runs a measurement, 495 artifacts. Each question is asked three
times and read whole; the median counts, and what takes longer than a second is shown with its plan. The yardstick is
the server itself, reading every column of every measurement. Then 8 processes, and 20, store measurements as a fleet's
benches do, each with its 10 runs and at most twenty a second, and what they stored is counted.
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

from benchmarks.rows import fill
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
from harness.store.reading import run_query
from harness.store.rows.cases import CaseRows
from tests.postgres import installed, server

SLOW_S = 1.0
FILTERED = "SELECT * FROM results WHERE device = 'board007' AND model = 'quicknet'"
YARDSTICK = "SELECT * FROM measurements"
TOOL = Tool("lce_benchmark_model", "1" * 64, interpreter="")


def main() -> None:
    asked = arguments()
    print(f"{asked.measurements:,} measurements of 10 runs, {asked.devices} devices, {machine()}")
    with databases(asked.sqlite_only) as urls:
        for url in urls:
            measure(url, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("measurements", 100_000), ("devices", 200), ("seconds", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sqlite-only", action="store_true")
    return parser.parse_args()


@contextmanager
def databases(sqlite_only: bool) -> Iterator[list[str]]:
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory())
        urls = [f"sqlite:///{folder}/harness.db"]
        binaries = None if sqlite_only else installed()
        if binaries:
            urls.append(held.enter_context(held.enter_context(server(binaries)).new_database()))
        yield urls


def measure(url: str, asked: argparse.Namespace) -> None:
    engine = open_database(url)
    print(
        f"\n{engine.dialect.name}: filled in {timed(lambda: fill(engine, asked.measurements, fleet=asked.devices)):.0f} s"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")  # as PostgreSQL does by itself, after a minute
    engine.dispose()
    questions(url)
    for name, command in (
        ("harness query", ["query"]),
        ("harness report", ["report", "--out", os.devnull]),
    ):
        print(f"{name:24} {timed(partial(run, url, *command)):8.2f} s, its start and all")
    for writers in (8, 20):
        write(url, writers, seconds=asked.seconds)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def questions(url: str) -> None:
    reader = open_read_only(url)
    asked = {
        name: (query.sql, query.parse_values({})) for name, query in load_named_queries().items()
    }
    asked |= {"results, filtered": (FILTERED, {}), "all measurements": (YARDSTICK, {})}
    for name, (sql, values) in asked.items():
        work = partial(run_query, reader, sql, values)
        seconds = median(timed(work) for _ in range(3))
        print(f"{name:24} {seconds:8.3f} s {len(work().values):9,} rows", flush=True)
        if seconds > SLOW_S:
            print_plan(url, sql, values=values)
    reader.dispose()


def print_plan(url: str, sql: str, values: Mapping[str, ParameterValue]) -> None:
    engine = open_database(url)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        for row in connection.execute(text(f"{explain} {sql}"), dict(values)):
            print(f"    {row[-1]}")
    engine.dispose()


def run(url: str, *command: str) -> None:
    environment = {**os.environ, "HARNESS_DATABASE_URL": url}
    subprocess.run(
        [sys.executable, "-m", "harness", *command],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def write(url: str, writers: int, seconds: float) -> None:
    """Prints how long one measurement took to store, and whether each is there."""
    spawn = get_context("spawn")
    together, told = spawn.Barrier(writers), spawn.Queue()
    before = count(url)
    processes = [
        spawn.Process(target=store, args=(url, f"{writers}w{n}", seconds, together, told))
        for n in range(writers)
    ]
    for process in processes:
        process.start()
    times = [one for _ in processes for one in told.get()]
    for process in processes:
        process.join()
    failed = sum(process.exitcode != 0 for process in processes)
    lost = len(times) - (count(url) - before)
    middle, high = 1e3 * median(times), 1e3 * quantiles(times, n=20)[-1]
    print(
        f"{writers} writers for {seconds} s: {len(times):,} measurements, {middle:.1f} ms each (median; 95 % under "
        f"{high:.1f} ms), {lost} lost, {failed} writers failed"
    )


def count(url: str) -> int:
    reader = open_read_only(url)
    try:
        return int(run_query(reader, "SELECT count(*) FROM measurements").values[0][0])
    finally:
        reader.dispose()


def store(url: str, device: str, seconds: float, together: Barrier, told: Any) -> None:
    """One writer: a measurement after the other, as a bench of its own device stores them, twenty a second at most."""
    engine = open_database(url)
    rows, times = CaseRows(engine), []
    reader = open_read_only(url)
    artifact = run_query(reader, "SELECT min(sha256) FROM artifacts").values[0][0]
    made = measurement(Case(artifact, device, tool=TOOL, protocol=PROTOCOLS["standard"]))
    together.wait()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            times.append(timed(lambda: rows.finish("ssh", replace(made, measured_at=now()))))
            time.sleep(0.05)
    finally:
        told.put(times)


def measurement(case: Case) -> Measurement:
    log = ToolLog(Timing(50, 101.0, min_us=99.0, max_us=110.0, avg_us=100.0, std_us=1.0))
    runs = tuple(
        Run(
            Process(
                number, now(), seconds=1.0, exit_code=0, stdout="INFO: avg=100\n" * 40, stderr=""
            ),
            log,
        )
        for number in range(1, 11)
    )
    summary = Summary(
        100.0, 99.0, latency_high_us=101.0, runs=len(runs), peak_memory_bytes=None, quality="ok"
    )
    return Measurement(case, case.artifact, runs=runs, summary=summary, facts={}, measured_at=now())


if __name__ == "__main__":
    main()
