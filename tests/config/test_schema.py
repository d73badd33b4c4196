"""The JSON Schemas accept what the harness accepts, and refuse what it refuses."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML
from typer.testing import CliRunner

from harness.cli.commands.main import app
from harness.config.device_file import read_devices
from harness.config.sweep_file import read_sweep
from harness.core.errors import ConfigError
from harness.sweep.trials import build_sweep

COMMENT = "# yaml-language-server: $schema="
SWEEP = """
name: sample
dataset: digits
model: {name: mlp, layers: 2}
precision: [binary, float32]
train: {epochs: 3}
"""
DEVICE = "devices: [{id: pi4, kind: ssh, host: pi4.lab}]"


def print_schema(name: str) -> Any:
    result = CliRunner().invoke(app, ["schema", name])
    assert result.exit_code == 0
    return json.loads(result.output)


@pytest.fixture(scope="module")
def sweep_schema() -> Draft7Validator:
    schema = print_schema("sweep")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.fixture(scope="module")
def devices_schema() -> Draft7Validator:
    schema = print_schema("devices")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def load(text: str) -> Any:
    return YAML(typ="safe").load(StringIO(text))


def is_read(reader: Callable[[Path], object], file: Path, text: str) -> bool:
    file.write_text(text)
    try:
        reader(file)
    except ConfigError:
        return False
    return True


def plan(file: Path) -> None:
    """Read a sweep file as far as a plan does."""
    build_sweep(read_sweep(file))


def test_the_shipped_files_are_valid_and_name_their_schema(
    repository: Path, sweep_schema: Draft7Validator, devices_schema: Draft7Validator
) -> None:
    files = dict.fromkeys((repository / "jobs").glob("*.yaml"), sweep_schema)
    for file, schema in {**files, repository / "devices.yaml": devices_schema}.items():
        text = file.read_text()
        schema.validate(load(text))
        first = text.splitlines()[0]
        assert first.startswith(COMMENT)
        named = json.loads((file.parent / first.removeprefix(COMMENT)).read_text())
        assert named == schema.schema, file


@pytest.mark.parametrize(
    "more",
    [
        "grid: {model.units: [64, 128], "
        "train.learning_rate: [0.1, {schedule: cosine, initial: 1}]}",
        "points: [{train.optimizer: sgd, train.momentum: 0.9}, "
        "{train.learning_rate.initial: 0.1, train.learning_rate.schedule: linear}]",
        "search: {method: random, trials: 2, "
        "space: {model.units: {low: 8, high: 16}, precision: [binary]}}",
        "search: {method: optuna, trials: 2, space: {model.units: [8]}, max_waiting: 4, "
        "objectives: [accuracy, {metric: energy, on: pi4, threads: 1}]}",
        "search: {constraints: [{metric: latency, on: phones, at_most: 0.5 ms}, "
        "{metric: size, at_most: 512KiB}]}",
        "resources: {cpu: 1, gpu: 0.5}",
        "bench: {protocol: standard, threads: [1, 4]}",
        "bench: {protocol: {base: quick, name: cool, target: 1%, gates: {max_busy: 5 %}}}",
        "bench: {protocol: {gates: off, canary: on, answers: false, processes: 20}}",
        "grid: {seeds: [0, 1], precision: [int8]}",
    ],
)
def test_a_right_sweep_file_is_accepted(
    sweep_schema: Draft7Validator, tmp_path: Path, more: str
) -> None:
    text = f"{SWEEP}{more}\n"
    assert is_read(plan, tmp_path / "sweep.yaml", text=text)
    sweep_schema.validate(load(text))


def test_a_network_of_ones_own_is_accepted(sweep_schema: Draft7Validator) -> None:
    text = SWEEP.replace("{name: mlp, layers: 2}", '{name: "nets:tiny", width: 3}')
    sweep_schema.validate(load(f"{text}grid: {{model.width: [1, 2]}}\n"))


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("epochs: 3", "epoch: 3"),
        ("epochs: 3", "epochs: 0"),
        ("epochs: 3", "epochs: many"),
        ("epochs: 3", "epochs: 3, loss: hinge"),
        ("epochs: 3", "epochs: 3, learning_rate: {schedule: cosine}"),
        ("layers: 2", "layer: 2"),
        ("name: mlp", "name: mpl"),
        ("name: sample", "name: ''"),
        ("[binary, float32]", "[ternary]"),
        ("[binary, float32]", "binary"),
        ("dataset: digits", "dataset: 3"),
        ("dataset: digits", "dataset: digits\nseed: 0"),
        ("dataset: digits", "dataset: digits\ngrid: {train.epoch: [1]}"),
        ("dataset: digits", "dataset: digits\ngrid: {train.epochs: 1}"),
        ("dataset: digits", "dataset: digits\ngrid: {train.epochs: [0]}"),
        ("dataset: digits", "dataset: digits\ngrid: {resources.cpu: [1]}"),
        ("dataset: digits", "dataset: digits\nbench: {protocol: swift}"),
        ("dataset: digits", "dataset: digits\nbench: {protocol: {base: swift}}"),
        ("dataset: digits", "dataset: digits\nbench: {protocol: {threads: 2}}"),
        ("dataset: digits", "dataset: digits\nbench: {threads: []}"),
        ("dataset: digits", "dataset: digits\nsearch: {asha: {reduction: 1}}"),
        *(
            ("dataset: digits", f"dataset: digits\nsearch: {{{wrong}}}")
            for wrong in (
                "objectives: [latency]",
                "objectives: [{on: pi4}]",
                "constraints: [{metric: accuracy, at_most: 1 MB}]",
                "constraints: [{metric: size, at_most: 5}]",
                "constraints: [{metric: size, at_most: five MB}]",
                "constraints: [{metric: size, at_most: 5 days}]",
                "constraints: [{metric: size}]",
                "max_waiting: 0",
            )
        ),
        ("dataset: digits\n", ""),
    ],
)
def test_a_wrong_sweep_file_is_refused(
    sweep_schema: Draft7Validator, tmp_path: Path, text: str, replacement: str
) -> None:
    wrong = SWEEP.replace(text, replacement)
    assert not is_read(plan, tmp_path / "sweep.yaml", text=wrong)
    assert not sweep_schema.is_valid(load(wrong))


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("kind: ssh, ", ""),
        ("kind: ssh", "kind: usb"),
        ("host: pi4.lab", "hosts: pi4.lab"),
        ("host: pi4.lab", "host: pi4.lab, port: 0"),
        ("host: pi4.lab", "host: pi4.lab, cpus: [-1]"),
        ("host: pi4.lab", "host: pi4.lab, serial: 1A"),
        ("host: pi4.lab", "host: pi4.lab, abi: riscv"),
        (", host: pi4.lab", ""),
        ("[{id: pi4, kind: ssh, host: pi4.lab}]", "[]"),
    ],
)
def test_a_wrong_registry_is_refused(
    devices_schema: Draft7Validator, tmp_path: Path, text: str, replacement: str
) -> None:
    assert devices_schema.is_valid(load(DEVICE))
    wrong = DEVICE.replace(text, replacement)
    assert not is_read(read_devices, tmp_path / "devices.yaml", text=wrong)
    assert not devices_schema.is_valid(load(wrong))


@pytest.mark.parametrize("name", ["sweep", "devices"])
def test_every_key_says_what_it_means(name: str) -> None:
    declared = dict(list_keys(print_schema(name)))
    silent = [key for key, value in declared.items() if "description" not in value]
    assert silent == []
    assert len(declared) > 20


def list_keys(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield every declared key of a schema with the schema of its value.

    Swept keys, which `grid`, `points` and `space` name again, are left out, and `model.name`.
    """
    if isinstance(node, list):
        for item in node:
            yield from list_keys(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key not in ("grid", "points", "space"):
            yield from list_keys(value)
    if isinstance(properties := node.get("properties"), dict):
        yield from ((key, value) for key, value in properties.items() if "const" not in value)


def test_an_unknown_schema_is_an_error() -> None:
    assert CliRunner().invoke(app, ["schema", "gone"]).exit_code == 2
