"""The implementation of `harness schema`."""

import json

from harness.config.schema import Schema, build_devices_schema, build_sweep_schema
from harness.data import DATASETS
from harness.models import ARCHITECTURES


def format_schema(name: str) -> str:
    """Return the schema of the files called `sweep` or `devices` as JSON."""
    schema: Schema
    if name == "sweep":
        schema = build_sweep_schema(ARCHITECTURES, DATASETS)
    else:
        schema = build_devices_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False)


def print_schema(name: str) -> None:
    print(format_schema(name))
