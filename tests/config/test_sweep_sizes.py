"""A plan's cost grows with its points, and a sweep that is too large is refused at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.search import MAX_PAIRED, list_corners
from harness.config.sweep_file import MAX_TRIALS, read_sweep
from harness.core.errors import ConfigError
from harness.core.search import Range, Search
from tests.harness_cli import Cli

# The largest memory of this program alone: rusage would include that of the process it starts from.
PRINT_COST = """
import re, sys, time
from harness.cli.app import main
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    print(time.process_time(), peak[1], file=sys.stderr)
"""
BASE = """\
name: large
dataset: digits
model: {name: mlp, layers: 2}
precision: [binary, float32]
seeds: [0, 1]
train: {epochs: 5, optimizer: sgd}
"""
HUNDRED = str(list(range(1, 101)))


def write_sweep(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(BASE + text)
    return path


@pytest.mark.parametrize(
    ("text", "place", "size"),
    [
        (
            "grid:\n"
            + "".join(
                f"  {key}: {HUNDRED}\n"
                for key in ("model.units", "model.layers", "train.batch_size", "train.epochs")
            ),
            ":7: grid",
            "100,000,000 points and 400,000,000 trials",
        ),
        (
            f"grid:\n  model.units: {HUNDRED}\n  model.layers: {HUNDRED}\n"
            f"  seeds: {HUNDRED}\n  precision: [binary]\n",
            ":7: grid",
            "1,000,000 points and 1,000,000 trials",
        ),
        (
            "search:\n  method: random\n  trials: 1000000000\n  space: {model.units: [1, 2]}\n",
            ":10: search.space",
            "1,000,000,000 points and 4,000,000,000 trials",
        ),
    ],
    ids=["grid", "swept seeds", "random search"],
)
def test_too_large_a_sweep_is_refused_with_its_size(
    tmp_path: Path, text: str, place: str, size: str
) -> None:
    path = write_sweep(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        read_sweep(path)
    assert str(refused.value).startswith(f"{path}{place} gives {size}")


def test_too_many_swept_keys_are_refused(tmp_path: Path) -> None:
    grid = "".join(f"  model.key{number}: [1]\n" for number in range(60))
    with pytest.raises(ConfigError, match="grid sweeps 60 keys"):
        read_sweep(write_sweep(tmp_path, f"grid:\n{grid}"))


def test_a_search_may_try_any_number_of_points_one_by_one(tmp_path: Path) -> None:
    search = "search:\n  method: optuna\n  trials: 1000000000\n  space: {model.units: [1, 2]}\n"
    assert len(read_sweep(write_sweep(tmp_path, search))) == 2


def test_corners_have_every_choice_and_grow_with_their_number() -> None:
    choices = tuple(range(2_000))
    search = Search("random", trials=1, space={"a": choices, "b": choices, "c": Range(0.5, 2.5)})
    corners = list(list_corners(search))
    assert len(corners) < 5_000
    assert (
        {corner["a"] for corner in corners} == {corner["b"] for corner in corners} == set(choices)
    )
    pairs = {(corner["a"], corner["b"]) for corner in corners}
    assert {(0, 0), (0, 1999), (1999, 0), (1999, 1999)} <= pairs


def test_corners_have_every_pair_of_few_choices() -> None:
    choices = tuple(range(MAX_PAIRED))
    search = Search("random", trials=1, space={"a": choices, "b": choices})
    pairs = {(corner["a"], corner["b"]) for corner in list_corners(search)}
    assert len(pairs) == MAX_PAIRED**2


def test_a_dry_run_shows_in_which_settings_its_trials_differ(cli: Cli, tmp_path: Path) -> None:
    file = write_sweep(
        tmp_path,
        "grid:\n  train.learning_rate: [0.1, 0.2]\n  train.batch_size: [32, 64]\n",
    )
    planned = cli.run("submit", "sweep", file, "--set", "precision=[binary]", "--dry-run").stdout
    for settings in (
        "train.batch_size=32 train.learning_rate=0.1",
        "train.batch_size=64 train.learning_rate=0.2",
    ):
        assert planned.count(settings) == 2  # one for each seed
    assert "train.epochs" not in planned


def test_a_dry_run_of_one_setting_has_no_column_for_it(cli: Cli, tmp_path: Path) -> None:
    planned = cli.run("submit", "sweep", write_sweep(tmp_path, ""), "--dry-run").stdout
    assert "settings" not in planned
    assert planned.count("mlp layers=2") == 4


@pytest.mark.full
def test_a_hundred_thousand_trials_are_planned_in_ten_seconds(cli: Cli, tmp_path: Path) -> None:
    units = str(list(range(1, MAX_TRIALS // 8 + 1)))
    file = write_sweep(tmp_path, f"grid: {{model.units: {units}}}\n")
    command = [sys.executable, "-c", PRINT_COST, "submit", "sweep", str(file), "--dry-run"]
    ended = subprocess.run(command, env=cli.environment, capture_output=True, text=True, check=True)
    assert "100000 trials, 100000 to train" in ended.stdout
    cpu_s, peak_kb = map(float, ended.stderr.split()[-2:])
    assert cpu_s < 10
    assert peak_kb < 500_000
