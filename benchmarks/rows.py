"""A fleet's database by bulk insert: what a team might have after some years, plausible enough for every query."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice, product
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
STDOUT = compress_text(
    "INFO: count=50 first=103 curr=101 min=99 max=118 avg=101.7 std=2 p5=99 median=101 p95=104\n"
    * 4
)
EMPTY = compress_text("")
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
_AT_ONCE = 5_000


@dataclass(frozen=True)
class Network:
    """A trial and its artifact; `work` is its latency on a device of speed 1, in microseconds."""

    trial: dict[str, Any]
    sha256: str
    size: int
    accuracy: float
    work: float


def fill(engine: Engine, measured: int, fleet: int) -> None:
    """Cases of every artifact on each of `fleet` devices, in turn, up to `measured` measurements of 10 runs each.

    One case in twenty was measured twice; one in fifty failed last.
    """
    chance = np.random.default_rng(0)
    known = networks(chance)
    for table, rows in (
        (trials, (one.trial for one in known)),
        (
            sweep_trials,
            (
                {"sweep": t["sweep"], "trial_id": t["id"], "submitted_at": at(0)}
                for t in (one.trial for one in known)
            ),
        ),
        (epochs, (row for one in known for row in curve(one))),
        (artifacts, map(artifact, known)),
        (trial_artifacts, map(link, known)),
        (devices, (device(number) for number in range(fleet))),
    ):
        store(engine, table, rows=rows)
    planned = list(islice(product(range(fleet), known), measured * 20 // 21))
    store(engine, cases, rows=(case(number, one) for number, one in planned))
    again = planned + planned[: measured - len(planned)]
    found = [measurement(at_, *one, chance) for at_, one in enumerate(again, 1)]
    store(engine, measurements, rows=found)
    number_on(engine)
    store(engine, runs, rows=(row for one in found for row in runs_of(one, chance)))
    store(engine, operators, rows=(row for one in planned[::50] for row in profile(*one)))
    store(engine, failures, rows=(failure(*one) for one in planned[::50]))
    store(engine, queue, rows=(queued(*one) for one in planned[-200:]))
    kept = range(100)
    store(engine, batches, rows=(batch(number, day) for number in range(fleet) for day in kept))
    store(
        engine,
        canaries,
        rows=(canary(number, day, chance=chance) for number in range(fleet) for day in kept),
    )


def store(engine: Engine, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    while some := list(islice(left, _AT_ONCE)):
        with write_transaction(engine) as connection:
            connection.execute(insert(table), some)


def number_on(engine: Engine) -> None:
    """The next measurement's number follows these: PostgreSQL counts only those that it gave itself."""
    if engine.dialect.name == "postgresql":
        with write_transaction(engine) as connection:
            last = "SELECT setval(pg_get_serial_sequence('measurements', 'id'), max(id)) FROM measurements"
            connection.exec_driver_sql(last)


def networks(chance: np.random.Generator) -> list[Network]:
    return [
        network(model, width, seed=seed, precision=precision, chance=chance)
        for model, width, seed, precision in product(MODELS, WIDTHS, SEEDS, PRECISIONS)
    ]


def network(
    model: str, width: int, seed: int, precision: str, chance: np.random.Generator
) -> Network:
    speed, share, lost = PRECISIONS[precision]
    named = {"model": model, "width": width, "seed": seed}
    trial = {
        "id": content_id({**named, "precision": precision}),
        "twin": content_id(named),
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
    accuracy = float(0.8 + 0.12 * width / 11 + lost + chance.normal(0, 0.004))
    return Network(
        trial,
        sha256_of(content_id(trial).encode()),
        size=size,
        accuracy=accuracy,
        work=speed * 50 * width**1.5,
    )


def artifact(one: Network) -> dict[str, Any]:
    macs = 4096 * one.trial["params"]
    binary = macs if one.trial["precision"] == "binary" else 0
    return {
        "sha256": one.sha256,
        "format": "tflite",
        "size_bytes": one.size,
        "operators": "{}",
        "binary_macs": binary,
        "float_macs": macs - binary + 10_000,
        "created_at": at(0),
    }


def link(one: Network) -> dict[str, Any]:
    told = {"accuracy": one.accuracy, "agreement": 1.0, "created_at": at(0)}
    return {"trial_id": one.trial["id"], "artifact": one.sha256, **told}


def curve(one: Network) -> Iterator[dict[str, Any]]:
    for number in range(1, 21):
        accuracy = one.accuracy * number / 20
        losses = {
            "loss": 1 / number,
            "validation_loss": 1.1 / number,
            "validation_accuracy": accuracy,
        }
        yield {
            "trial_id": one.trial["id"],
            "number": number,
            "accuracy": accuracy,
            "seconds": 1.0,
            **losses,
        }


def name(number: int) -> str:
    return f"board{number:03}"


def device(number: int) -> dict[str, Any]:
    kind = KINDS[number % len(KINDS)]
    seen = {"seen_at": at(900), "changed_at": at(900)}
    return {
        "id": name(number),
        "kind": kind,
        "state": "ready",
        "message": "",
        "facts": "{}",
        **seen,
    }


def case(number: int, one: Network) -> dict[str, Any]:
    return {
        "id": case_id(number, one),
        "artifact": one.sha256,
        "device": name(number),
        "device_kind": KINDS[number % len(KINDS)],
        "tool": "lce_benchmark_model",
        "tool_sha256": "1" * 64 if number % 2 else "2" * 64,
        "interpreter": "",
        "protocol": "standard",
        "protocol_settings": '{"name": "standard", "threads": 1}',
        "threads": 1,
        "planned_at": at(0),
    }


def case_id(number: int, one: Network) -> str:
    return content_id([number, one.sha256])


def measurement(
    number: int, board: int, one: Network, chance: np.random.Generator
) -> dict[str, Any]:
    latency = float(one.work * (1 + board % 7) * chance.lognormal(0, 0.03))
    return {
        "id": number,
        "case_id": case_id(board, one),
        "measured_at": at(number / 120),
        "valid": True,
        "artifact_run": one.sha256,
        "latency_us": latency,
        "latency_low_us": 0.98 * latency,
        "latency_high_us": 1.03 * latency,
        "runs": RUNS,
        "peak_memory_bytes": 3 * one.size,
        "temperature_c": float(chance.normal(55, 5)),
        "frequency_khz": 1.8e6,
        "energy_uj": latency * 3 if board % 5 == 0 else None,
        "quality": "ok" if chance.random() < 0.9 else "spread: run-to-run spread 12%",
        "facts": "{}",
        "harness_version": "0.1.0",
    }


def runs_of(one: dict[str, Any], chance: np.random.Generator) -> Iterator[dict[str, Any]]:
    for number, noise in enumerate(chance.normal(1, 0.02, RUNS), 1):
        average = float(one["latency_us"] * noise)
        times = {"first_us": average, "min_us": average, "max_us": average, "avg_us": average}
        logs = {"stdout_zstd": STDOUT, "stderr_zstd": EMPTY}
        told = {
            "measurement_id": one["id"],
            "number": number,
            "started_at": one["measured_at"],
            "seconds": 1.0,
        }
        yield {**told, "exit_code": 0, "count": 50, **times, **logs}


def profile(number: int, one: Network) -> Iterator[dict[str, Any]]:
    for place in range(12):
        role = ("binary convolution", "float layer", "quantise/dequantise", "other")[place % 4]
        told = {
            "type": role.upper(),
            "name": f"layer_{place}",
            "role": role,
            "avg_us": 10.0,
            "share": 1 / 12,
            "calls": 1,
        }
        yield {"case_id": case_id(number, one), "profiled_at": at(1), "number": place, **told}


def failure(number: int, one: Network) -> dict[str, Any]:
    told = {
        "reason": "timeout",
        "message": "It took too long.",
        "log_zstd": EMPTY,
        "failed_at": at(2000),
    }
    return {"case_id": case_id(number, one), **told}


def queued(number: int, one: Network) -> dict[str, Any]:
    asked = {"protocol_id": "0", "protocol": "standard", "threads": 1, "asked_at": at(900)}
    return {"device": name(number), "artifact": one.sha256, **asked}


def batch(number: int, day: int) -> dict[str, Any]:
    told = {"started_at": at(day), "ordering": "interleaved", "cases": 10}
    return {"id": f"{number:08}{day:08}", "device": name(number), **told}


def canary(number: int, day: int, chance: np.random.Generator) -> dict[str, Any]:
    return {
        "batch": f"{number:08}{day:08}",
        "device": name(number),
        "moment": "before",
        "measured_at": at(day),
        "artifact": "c" * 64,
        "tool": "lce_benchmark_model",
        "tool_sha256": "1" * 64,
        "interpreter": "",
        "cpus": "",
        "latency_us": float(100 * chance.lognormal(0, 0.02)),
        "temperature_c": float(chance.normal(50, 5)),
        "disturbed": "",
        "message": "",
        "stdout_zstd": EMPTY,
        "stderr_zstd": EMPTY,
    }


def at(day: float) -> str:
    return (START + timedelta(days=day)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
