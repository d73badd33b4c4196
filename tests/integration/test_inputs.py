"""Models whose inputs have an open size, or values with a range of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness_cli import BARE, Cli

pytestmark = pytest.mark.full


def convert(file: Path, function: Callable[..., Any], *specs: Any) -> Path:
    from harness.models.keras import tf

    concrete = tf.function(function).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    file.write_bytes(converter.convert())
    return file


@pytest.fixture
def any_size(tmp_path: Path) -> Path:
    from harness.models.keras import tf

    kernel = tf.ones((3, 3, 3, 8))
    return convert(
        tmp_path / "any_size.tflite",
        lambda image: tf.nn.conv2d(image, kernel, strides=1, padding="SAME"),
        tf.TensorSpec((1, None, None, 3), tf.float32, name="image"),
    )


@pytest.fixture
def words(tmp_path: Path) -> Path:
    from harness.models.keras import tf

    table = tf.reshape(tf.range(50.0 * 4), (50, 4))
    return convert(
        tmp_path / "words.tflite",
        lambda words: tf.gather(table, words),
        tf.TensorSpec((1, 12), tf.int32, name="words"),
    )


def test_an_open_size_is_refused_and_each_size_is_a_case(cli: Cli, any_size: Path) -> None:
    bench = ("bench", any_size, "--protocol", BARE)
    refused = cli.run(*bench)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "its input image has no fixed size (1 × ? × ? × 3)" in refused.stderr
    assert "--input-shape image:1,224,224,3" in refused.stderr

    for shape in ("1,16,16,3", "1,64,64,3", "1,16,16,3"):
        ended = cli.run(*bench, "--input-shape", f"image:{shape}")
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 to measure, 1 already done" in ended.stdout
    rows = cli.rows("SELECT inputs, latency_us, signature FROM results ORDER BY latency_us")
    assert ["16" in row["inputs"] for row in rows] == [True, False], "the larger one takes longer"
    assert "image:1,64,64,3" in ended.stdout


def test_indices_stay_within_the_range_that_was_given(cli: Cli, words: Path) -> None:
    bench = ("bench", words, "--protocol", BARE)
    failed = cli.run(*bench)
    assert failed.returncode == 1, "the tool's own values are from 0 to 99"
    assert "index out of bounds; give --input-range words:0,49, or the" in failed.stdout
    ended = cli.run(*bench, "--input-range", "words:0,49")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (row,) = cli.rows("SELECT inputs FROM results")
    assert '"high": 49' in row["inputs"]
    planned = cli.run(*bench, "--input-range", "words:0,9", "--dry-run")
    assert f"{words.name} (" in planned.stdout
    assert " words:1,12 from 0 to 9 on " in planned.stdout
    np.save(cli.home / "words.npy", np.full((1, 12), 49, np.int32))
    ended = cli.run(*bench, "--input-file", f"words:{cli.home / 'words.npy'}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(cli.rows("SELECT inputs FROM results")) == 2
    unknown = cli.run(*bench, "--input-range", "wrods:0,99")
    assert unknown.returncode == 2
    assert "The models have no input wrods; their inputs: words" in unknown.stderr


def test_each_of_several_inputs_is_chosen_by_its_name(cli: Cli, tmp_path: Path) -> None:
    from harness.models.keras import tf

    table = tf.reshape(tf.range(100.0 * 4), (100, 4))
    model = convert(
        tmp_path / "both.tflite",
        lambda words, places, scale: tf.gather(table, words) + scale * tf.gather(table, places),
        tf.TensorSpec((1, None), tf.int32, name="words"),
        tf.TensorSpec((1, None), tf.int64, name="places"),
        tf.TensorSpec((), tf.float32, name="scale"),
    )
    np.save(tmp_path / "places.npy", np.full((1, 7), 99))
    file = ("--input-file", f"places:{tmp_path / 'places.npy'}")
    refused = cli.run("bench", model, "--protocol", BARE, *file)
    assert refused.returncode == 2
    assert "add --input-shape words:1,128, with the size to measure" in refused.stderr
    choices = (*file, "--input-shape", "words:1,7", "--input-range", "words:90,99")
    ended = cli.run("bench", model, "--protocol", BARE, *choices)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "words:1,7 from 90 to 99 places:1,7 of " in ended.stdout
