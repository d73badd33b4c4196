"""Functions that build a network, which is measured without any training."""

from pathlib import Path

import pytest

from tests.harness_cli import BARE, Cli

NETWORKS = """
def dense(units=8):
    import tensorflow as tf

    image = tf.keras.layers.Input((4, 4, 1))
    return tf.keras.Model(image, tf.keras.layers.Dense(units)(tf.keras.layers.Flatten()(image)))

def broken():
    raise ValueError("no such layer")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETWORKS)
    return tmp_path


@pytest.mark.full
def test_a_function_is_measured_untrained_and_never_recommended(cli: Cli, folder: Path) -> None:
    command = ("bench", "nets:dense", "nets:broken", "--protocol", BARE)
    ended = cli.run(*command, cwd=folder)
    assert ended.returncode == 1
    assert "raised ValueError: no such layer (nets.py:9); fix it" in ended.stderr
    assert "here: 1 case, 1 to measure, 0 already done." in ended.stdout
    again = cli.run(*command[:2], *command[3:], "--set", "units=8", "--dry-run", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "0 to measure, 1 already done." in again.stdout, "the same bytes in another process"
    (row,) = cli.rows("SELECT file, untrained, trial, accuracy FROM results")
    assert row.pop("file").startswith("nets:dense@")
    assert row == {"untrained": 1, "trial": None, "accuracy": None}
    assert cli.query("leaderboard") == []
    forms = cli.rows("SELECT reason, artifact IS NULL AS failed FROM forms ORDER BY failed")
    assert forms == [{"reason": None, "failed": 0}, {"reason": "bug", "failed": 1}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nets:none"], "error: The model is 'nets:none', which can't be imported from"),
        (["nets:dense", "--set", "size=3"], "which does not take these parameters:"),
        (["nets.tflite", "--set", "units=3"], "error: --set is for the parameters of a"),
        (["nets:dense", "--sweep", "study"], "error: give models or --sweep, not both."),
    ],
)
def test_a_wrong_request_starts_nothing(
    cli: Cli, folder: Path, arguments: list[str], message: str
) -> None:
    ended = cli.run("bench", *arguments, cwd=folder)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_file_whose_name_looks_like_a_function_is_a_file(cli: Cli, folder: Path) -> None:
    (folder / "nets:dense").write_text("no model")
    ended = cli.run("bench", "nets:dense", cwd=folder)
    assert ended.returncode == 2
    assert "nets:dense: " in ended.stderr
    assert "give a .tflite file." in ended.stderr
