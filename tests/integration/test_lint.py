"""`harness lint` as people type it; a network of a sweep is looked at as what it will be once it is trained."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.sweep_file import read_sweep
from harness.conversion.lint import Report, lint
from harness.core.sweep import Precision
from harness.sweep.lint import lint_sweep
from tests.harness_cli import Cli
from tests.integration.test_imports import HEAVY, PROBE
from tests.models.networks import SMALL, artifact

MODELS = Path(__file__).parents[1] / "data" / "models"
SWEEP = """
name: small
dataset: digits
model: {name: mlp, layers: 3}
precision: [binary, int8]
seeds: [0, 1]
grid: {model.units: [32, 128], train.learning_rate: [0.01, 0.001]}
train: {epochs: 1, batch_size: 100}
"""
ORDER = [(units, precision) for units in (32, 128) for precision in ("binary", "int8")]


def test_a_models_layers_are_told_in_a_table_and_nothing_is_made(cli: Cli) -> None:
    ended = cli.run("lint", MODELS / "binary_64.tflite")
    assert (ended.returncode, ended.stderr) == (0, "")
    heading, first, *_ = ended.stdout.splitlines()
    assert heading.split() == ["share", "layer", "rule", "cost", "change"]
    assert re.match(
        r"91\.9 %  1 CONV_2D batch_normalization_4 +binary_weights +binary weights run as float32:",
        first,
    )
    assert ended.stdout.splitlines()[-1].startswith(
        "4 layers could be faster, which affects 95.2 % of the model's"
    )
    assert not cli.home.exists()


def test_a_model_without_binary_layers_is_told_so(cli: Cli) -> None:
    ended = cli.run("lint", MODELS / "float_64.tflite")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        ended.stdout
        == "Nothing to improve: the rules concern binary layers, and this model has none.\n"
    )


def test_a_model_needs_nothing_that_trains(cli: Cli) -> None:
    probe = [sys.executable, "-c", PROBE, "lint", str(MODELS / "binary_64.tflite")]
    ended = subprocess.run(probe, env=cli.environment, capture_output=True, text=True, check=True)
    assert not set(ended.stderr.partition("imported:")[2].split()) & set(HEAVY)


def test_a_sweeps_networks_are_each_told_once(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SWEEP)
    ended = cli.run("lint", file, "--set", "model.layers=2")
    assert (ended.returncode, ended.stderr) == (0, "")
    networks = dict(block.split(":\n", 1) for block in ended.stdout.strip().split("\n\n"))
    assert [*networks] == [
        f"mlp layers=2 units={units} {precision}, 8×8×1 in, 10 out" for units, precision in ORDER
    ]
    (narrow, quantised), (wide, _) = zip(*[iter(networks.values())] * 2, strict=True)
    assert (
        quantised == "Nothing to improve: the rules concern binary layers, and this model has none."
    )
    assert (narrow.count("kernel_depth"), wide.count("kernel_depth")) == (2, 0)
    assert (narrow.count("output_channels"), wide.count("output_channels")) == (1, 0)
    assert wide.endswith(" (1 of its advice is the same as above.)")
    assert not cli.home.exists()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["no.tflite"],
            "error: no.tflite: can't be read: No such file or directory; check the path.",
        ),
        (["no.yaml"], "error: no.yaml: can't be read: No such file or directory; check the path."),
        (
            ["text.tflite"],
            "error: text.tflite: not a TensorFlow Lite model: the file identifier is missing; give a",
        ),
        (["text.yaml"], "error: text.yaml:1: has to be a mapping of keys to values."),
        (
            ["text.tflite", "--set", "a=1"],
            "error: --set: text.tflite is a model, which has no keys; set those of a",
        ),
        (["small.yaml", "--set", "model.units=x"], "error: --set model.units=x: model.units is"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_is_told_in_a_sentence(
    cli: Cli, tmp_path: Path, arguments: list[str], wanted: str
) -> None:
    for name, content in {
        "text.tflite": "hello",
        "text.yaml": "hello",
        "small.yaml": SWEEP,
    }.items():
        (tmp_path / name).write_text(content)
    ended = cli.run("lint", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(wanted)
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["binarynet", "cnn"])
def test_what_is_told_before_training_is_what_is_true_after_it(tmp_path: Path, name: str) -> None:
    parameters = ", ".join(f"{key}: {value}" for key, value in SMALL[name].parameters.items())
    file = tmp_path / "one.yaml"
    file.write_text(
        f"{{name: one, dataset: digits, precision: [binary], train: {{epochs: 1, learning_rate: 0.01}}, "
        f"model: {{name: {name}, {parameters}}}}}"
    )
    (network,) = lint_sweep(read_sweep(file))
    assert isinstance(network.result, Report)
    assert told(network.result) == told(lint(artifact(name, Precision.BINARY)))


def told(report: Report) -> list[tuple[int, str, str, float]]:
    """All but layers' names, which count up within a process."""
    return [(one.number, one.rule, one.cost, one.share) for one in report.advice]
