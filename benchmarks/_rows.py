"""Bulk inserts that fill a database as some years of a team's work might have.

The rows are plausible enough for every query.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import chain, islice, product, starmap
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert

from harness.core.ids import content_id, sha256_of
from harness.store.database import write_transaction
from harness.store.rows.values import compress_text
from harness.store.tables import (
    artifacts,
    batches,
    canaries,
    cases,
    devices,
    epochs,
    failures,
    measurements,
    operators,
    queue,
    runs,
    sweep_trials,
    trial_artifacts,
    trials,
)

MODELS, WIDTHS, SEEDS = (
    ("mlp", "binarynet", "quicknet", "lstm", "transformer"),
    range(1, 12),
    range(3),
)
PRECISIONS = {"binary": (0.5, 0.12, -0.02), "float32": (1.0, 1.0, 0.0), "int8": (0.6, 0.26, -0.003)}
KINDS = ("local", "ssh", "adb")
RUNS = 10
LOG_LINE = (
    "INFO: count=50 first=103 curr=101 min=99 max=118 avg=101.7 std=2 p5=99 median=101 p95=104\n"
)
STDOUT = compress_text(LOG_LINE * 4)
EMPTY = compress_text("")
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
_BATCH_ROWS = 5_000


@dataclass(frozen=True)
class Network:
    """A trial and its artifact; `work_us` is its latency on a device of speed 1."""

    trial: dict[str, Any]
    sha256: str
    size: int
    accuracy: float
    work_us: float


def fill(engine: Engine, measured: int, fleet: int) -> None:
    """Store `measured` measurements of 10 runs each, of every artifact on `fleet` devices in turn.

    One case in twenty was measured twice; the last attempt of one in fifty failed.
    """
    random = np.random.default_rng(0)
    networks = new_networks(random)
    for table, rows in (
        (trials, (network.trial for network in networks)),
        (sweep_trials, map(sweep_trial, networks)),
        (epochs, chain.from_iterable(map(learning_curve, networks))),
        (artifacts, map(artifact, networks)),
        (trial_artifacts, map(trial_artifact, networks)),
        (devices, map(device, range(fleet))),
    ):
        store(engine, table, rows=rows)
    planned = list(islice(product(range(fleet), networks), measured * 20 // 21))
    store(engine, cases, rows=starmap(case, planned))
    attempts = planned + planned[: measured - len(planned)]
    measured_rows = [
        measurement(number, board, network=network, random=random)
        for number, (board, network) in enumerate(attempts, 1)
    ]
    store(engine, measurements, rows=measured_rows)
    advance_sequence(engine)
    rows_of_runs = (run_rows(row, random) for row in measured_rows)
    store(engine, runs, rows=chain.from_iterable(rows_of_runs))
    profiled = planned[::50]
    store(engine, operators, rows=chain.from_iterable(starmap(profile, profiled)))
    store(engine, failures, rows=starmap(failure, profiled))
    store(engine, queue, rows=starmap(queue_entry, planned[-200:]))
    benches = list(product(range(fleet), range(100)))
    store(engine, batches, rows=starmap(batch, benches))
    store(engine, canaries, rows=(canary(board, day, random=random) for board, day in benches))


def store(engine: Engine, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    remaining = iter(rows)
    while rows_of_batch := list(islice(remaining, _BATCH_ROWS)):
        with write_transaction(engine) as connection:
            connection.execute(insert(table), rows_of_batch)


def advance_sequence(engine: Engine) -> None:
    """Let new measurements be numbered after these.

    PostgreSQL's sequence counts only the ids that it issued itself.
    """
    if engine.dialect.name == "postgresql":
        with write_transaction(engine) as connection:
            connection.exec_driver_sql(
                "SELECT setval(pg_get_serial_sequence('measurements', 'id'), max(id))"
                " FROM measurements"
            )


def new_networks(random: np.random.Generator) -> list[Network]:
    return [
        new_network(model, width, seed=seed, precision=precision, random=random)
        for model, width, seed, precision in product(MODELS, WIDTHS, SEEDS, PRECISIONS)
    ]


def new_network(
    model: str, width: int, seed: int, precision: str, random: np.random.Generator
) -> Network:
    speed, share, accuracy_change = PRECISIONS[precision]
    variant = {"model": model, "width": width, "seed": seed}
    trial = {
        "id": content_id({**variant, "precision": precision}),
        "twin": content_id(variant),
        "sweep": f"{model}_widths",
        "model": model,
        "parameters": json.dumps({"units": 64 * width}),
        "precision": precision,
        "dataset": "fashion_mnist",
        "recipe": json.dumps({"epochs": 20}),
        "seed": seed,
        "status": "done",
        "accuracy": 0.9,
        "params": 4096 * width,
        **dict.fromkeys(
            ("waiting_s", "import_s", "data_s", "fit_s", "convert_s", "evaluate_s"), 1.0
        ),
        "submitted_at": at(0),
        "finished_at": at(0),
    }
    size = int(share * 20_000 * width * (1 + MODELS.index(model)))
    accuracy = float(0.8 + 0.12 * width / 11 + accuracy_change + random.normal(0, 0.004))
    return Network(
        trial,
        sha256_of(content_id(trial).encode()),
        size=size,
        accuracy=accuracy,
        work_us=speed * 50 * width**1.5,
    )


def artifact(network: Network) -> dict[str, Any]:
    macs = 4096 * network.trial["params"]
    binary = macs if network.trial["precision"] == "binary" else 0
    return {
        "sha256": network.sha256,
        "format": "tflite",
        "size_bytes": network.size,
        "operators": "{}",
        "binary_macs": binary,
        "float_macs": macs - binary + 10_000,
        "created_at": at(0),
    }


def sweep_trial(network: Network) -> dict[str, Any]:
    trial = network.trial
    return {"sweep": trial["sweep"], "trial_id": trial["id"], "submitted_at": at(0)}


def trial_artifact(network: Network) -> dict[str, Any]:
    return {
        "trial_id": network.trial["id"],
        "artifact": network.sha256,
        "accuracy": network.accuracy,
        "agreement": 1.0,
        "created_at": at(0),
    }


def learning_curve(network: Network) -> Iterator[dict[str, Any]]:
    for number in range(1, 21):
        accuracy = network.accuracy * number / 20
        yield {
            "trial_id": network.trial["id"],
            "number": number,
            "accuracy": accuracy,
            "seconds": 1.0,
            "loss": 1 / number,
            "validation_loss": 1.1 / number,
            "validation_accuracy": accuracy,
        }


def device_id(number: int) -> str:
    return f"board{number:03}"


def device(number: int) -> dict[str, Any]:
    kind = KINDS[number % len(KINDS)]
    return {
        "id": device_id(number),
        "kind": kind,
        "state": "ready",
        "message": "",
        "facts": "{}",
        "seen_at": at(900),
        "changed_at": at(900),
    }


def case(number: int, network: Network) -> dict[str, Any]:
    return {
        "id": case_id(number, network),
        "artifact": network.sha256,
        "device": device_id(number),
        "device_kind": KINDS[number % len(KINDS)],
        "tool": "lce_benchmark_model",
        "tool_sha256": "1" * 64 if number % 2 else "2" * 64,
        "interpreter": "",
        "protocol": "standard",
        "protocol_settings": '{"name": "standard", "threads": 1}',
        "threads": 1,
        "planned_at": at(0),
    }


def case_id(number: int, network: Network) -> str:
    return content_id([number, network.sha256])


def measurement(
    number: int, board: int, network: Network, random: np.random.Generator
) -> dict[str, Any]:
    latency = float(network.work_us * (1 + board % 7) * random.lognormal(0, 0.03))
    return {
        "id": number,
        "case_id": case_id(board, network),
        "measured_at": at(number / 120),
        "valid": True,
        "artifact_run": network.sha256,
        "latency_us": latency,
        "latency_low_us": 0.98 * latency,
        "latency_high_us": 1.03 * latency,
        "runs": RUNS,
        "peak_memory_bytes": 3 * network.size,
        "temperature_c": float(random.normal(55, 5)),
        "frequency_khz": 1.8e6,
        "energy_uj": latency * 3 if board % 5 == 0 else None,
        "quality": "ok" if random.random() < 0.9 else "spread: run-to-run spread 12%",
        "facts": "{}",
        "harness_version": "0.1.0",
    }


def run_rows(measurement: dict[str, Any], random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for number, noise in enumerate(random.normal(1, 0.02, RUNS), 1):
        average_us = float(measurement["latency_us"] * noise)
        yield {
            "measurement_id": measurement["id"],
            "number": number,
            "started_at": measurement["measured_at"],
            "seconds": 1.0,
            "exit_code": 0,
            "count": 50,
            "first_us": average_us,
            "min_us": average_us,
            "max_us": average_us,
            "avg_us": average_us,
            "stdout_zstd": STDOUT,
            "stderr_zstd": EMPTY,
        }


def profile(number: int, network: Network) -> Iterator[dict[str, Any]]:
    roles = ("binary convolution", "float layer", "quantise/dequantise", "other")
    for index, role in enumerate(roles * 3):
        yield {
            "case_id": case_id(number, network),
            "profiled_at": at(1),
            "number": index,
            "type": role.upper(),
            "name": f"layer_{index}",
            "role": role,
            "avg_us": 10.0,
            "share": 1 / 12,
            "calls": 1,
        }


def failure(number: int, network: Network) -> dict[str, Any]:
    return {
        "case_id": case_id(number, network),
        "reason": "timeout",
        "message": "It took too long.",
        "log_zstd": EMPTY,
        "failed_at": at(2000),
    }


def queue_entry(number: int, network: Network) -> dict[str, Any]:
    return {
        "device": device_id(number),
        "artifact": network.sha256,
        "protocol_id": "0",
        "protocol": "standard",
        "threads": 1,
        "asked_at": at(900),
    }


def batch(number: int, day: int) -> dict[str, Any]:
    return {
        "id": f"{number:08}{day:08}",
        "device": device_id(number),
        "started_at": at(day),
        "ordering": "interleaved",
        "cases": 10,
    }


def canary(number: int, day: int, random: np.random.Generator) -> dict[str, Any]:
    return {
        "batch": f"{number:08}{day:08}",
        "device": device_id(number),
        "moment": "before",
        "measured_at": at(day),
        "artifact": "c" * 64,
        "tool": "lce_benchmark_model",
        "tool_sha256": "1" * 64,
        "interpreter": "",
        "cpus": "",
        "latency_us": float(100 * random.lognormal(0, 0.02)),
        "temperature_c": float(random.normal(50, 5)),
        "disturbed": "",
        "message": "",
        "stdout_zstd": EMPTY,
        "stderr_zstd": EMPTY,
    }


def at(day: float) -> str:
    return (START + timedelta(days=day)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
