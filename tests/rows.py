"""Rows of the view `results`, as the tests of comparing and reporting need them."""

import json
from dataclasses import replace
from typing import Any

from harness.core.bench import PROTOCOLS
from harness.core.ids import to_plain


def result_row(**columns: Any) -> dict[str, Any]:
    """Return a row for a binary MLP that was measured on one device.

    `parameters` and `recipe` may be given as dictionaries.
    """
    row = {
        "sweep": "small",
        "trial": "aaaa000000000001",
        "model": "mlp",
        "parameters": {"layers": 3, "units": 256},
        "recipe": {"epochs": 5, "learning_rate": 0.001},
        "precision": "binary",
        "dataset": "digits",
        "seed": 0,
        "params": 1000,
        "accuracy": 0.9,
        "artifact": "b" * 64,
        "format": "tflite",
        "size_bytes": 1000,
        "binary_macs": 2000,
        "float_macs": 3000,
        "device": "pi4",
        "device_kind": "local",
        "tool": "python_runner",
        "threads": 1,
        "protocol": "quick",
        "protocol_settings": protocol_settings(),
        "latency_us": 100.0,
        "latency_low_us": 90.0,
        "latency_high_us": 110.0,
        "runs": 6,
        "peak_memory_bytes": 1_000_000,
        "energy_uj": None,
        "energy_low_uj": None,
        "energy_high_uj": None,
        "disturbed_runs": 0,
        "temperature_c": None,
        "frequency_khz": None,
        "classes_agree": None,
        "largest_difference": None,
        "inputs": None,
        "cpus": "",
        "tool_sha256": "1" * 64,
        "interpreter": "an interpreter 1.0",
        "measurement_id": 1,
        "quality": "ok",
        "measured_at": "2024-01-01T00:00:00+00:00",
        "case_id": "cccc000000000001",
        "twin": "dddd000000000001",
        "file": None,
        **columns,
    }
    return {
        **row,
        **{
            key: json.dumps(row[key])
            for key in ("parameters", "recipe")
            if isinstance(row[key], dict)
        },
    }


def protocol_settings(name: str = "quick", **changed: Any) -> str:
    return json.dumps(to_plain(replace(PROTOCOLS[name], **changed)))


def own_model_row(**columns: Any) -> dict[str, Any]:
    """Return a row for a model file of the user's own, which belongs to no trial."""
    trial = dict.fromkeys(
        (
            "sweep",
            "trial",
            "model",
            "parameters",
            "recipe",
            "precision",
            "dataset",
            "seed",
            "params",
            "accuracy",
            "twin",
        )
    )
    return result_row(**{**trial, "artifact": "e" * 64, "file": "own.tflite", **columns})
