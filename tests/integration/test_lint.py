"""`harness lint` on model files, and on the untrained networks of sweeps."""

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
ORDER = [(32, "binary"), (32, "int8"), (128, "binary"), (128, "int8")]


def test_a_models_layers_are_listed_in_a_table_and_no_workspace_is_created(cli: Cli) -> None:
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


def test_a_model_without_binary_layers_has_nothing_to_improve(cli: Cli) -> None:
    ended = cli.run("lint", MODELS / "float_64.tflite")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        ended.stdout
        == "Nothing to improve: the rules concern binary layers, and this model has none.\n"
    )


def test_linting_a_model_imports_no_training_library(cli: Cli) -> None:
    probe = [sys.executable, "-c", PROBE, "lint", str(MODELS / "binary_64.tflite")]
    ended = subprocess.run(probe, env=cli.environment, capture_output=True, text=True, check=True)
    assert not set(ended.stderr.partition("imported:")[2].split()) & set(HEAVY)


@pytest.mark.full
def test_each_network_of_a_sweep_is_listed_once(cli: Cli, tmp_path: Path) -> None:
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
    ("arguments", "message"),
    [
        (
            ["no.tflite"],
            "error: no.tflite: can't be read: No such file or directory; check the path.",
        ),
        (["no.yaml"], "error: no.yaml: can't be read: No such file or directory; check the path."),
        (
            ["text.tflite"],
            "error: text.tflite: not a TensorFlow Lite model: the file identifier is missing; "
            "give a",
        ),
        (["text.yaml"], "error: text.yaml:1: must be a mapping of keys to values."),
        (
            ["text.tflite", "--set", "a=1"],
            "error: --set: text.tflite is a model, which has no keys; give a sweep",
        ),
        (["small.yaml", "--set", "model.units=x"], "error: --set model.units=x: model.units is"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_is_refused_with_one_sentence(
    cli: Cli, tmp_path: Path, arguments: list[str], message: str
) -> None:
    for name, content in {
        "text.tflite": "hello",
        "text.yaml": "hello",
        "small.yaml": SWEEP,
    }.items():
        (tmp_path / name).write_text(content)
    ended = cli.run("lint", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["binarynet", "cnn"])
def test_the_advice_before_training_is_the_advice_after_it(tmp_path: Path, name: str) -> None:
    parameters = ", ".join(f"{key}: {value}" for key, value in SMALL[name].parameters.items())
    file = tmp_path / "one.yaml"
    file.write_text(
        "{name: one, dataset: digits, precision: [binary], "
        "train: {epochs: 1, learning_rate: 0.01}, "
        f"model: {{name: {name}, {parameters}}}}}"
    )
    (network,) = lint_sweep(read_sweep(file))
    assert isinstance(network.result, Report)
    assert summarise(network.result) == summarise(lint(artifact(name, Precision.BINARY)))


def summarise(report: Report) -> list[tuple[int, str, str, float]]:
    """Return the advice without the layers' names, which count up within a process."""
    return [(advice.number, advice.rule, advice.cost, advice.share) for advice in report.advice]
