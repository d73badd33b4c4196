"""Searches: their points are stored in rows, and the next submission continues from those."""

import json
from pathlib import Path

import pytest

from tests.harness_cli import Cli

SEARCH = """
name: found
dataset: digits
model: {name: mlp, layers: 1}
precision: [float32, int8]
train: {epochs: 2}
resources: {cpu: 2}
search:
  method: optuna
  trials: 1
  objectives: [accuracy, size]
  space:
    model.units: [8, 16]
    train.learning_rate: {low: 0.001, high: 0.1, log: true}
"""


@pytest.mark.parametrize(
    ("setting", "options", "problem"),
    [
        (
            "search.objectives=[accuracy, {metric: latency, on: pi4}]",
            (),
            "search asks for latency on pi4; add --bench, so that the device measures it.",
        ),
        (
            "search.objectives=[accuracy, {metric: latency, on: pi4}]",
            ("--bench",),
            "no device has this id or tag; choose from: here, board, phone, boards.",
        ),
        (
            "search.constraints=[{metric: latency, on: here, at_most: 1 ms}]",
            ("--bench",),
            "search asks here, which trains, too, so that its numbers would come late",
        ),
        (
            "search.constraints=[{metric: latency, on: board, at_most: 5}]",
            ("--bench",),
            "search.constraints",
        ),
        (
            "search.constraints=[{metric: latency, on: board, at_most: 5 mJ}]",
            ("--dry-run", "--measure"),
            "search.constraints",
        ),
        (
            "bench={protocol: {base: quick, processes: 2, max_processes: 2}}",
            (
                "--bench",
                "--set",
                "search.constraints=[{metric: latency, on: board, at_most: 5 ms}]",
            ),
            "bench.protocol has 2 processes at most, and an interval needs 6; raise max_processes.",
        ),
        ("train.epochs=1", ("--measure",), "--measure trains nothing; add --dry-run."),
        ("train.epochs=1", ("--dry-run", "--measure"), "search has no metric of a device"),
        (
            "search.constraints=[{metric: energy, on: here, at_most: 5 mJ}]",
            ("--dry-run", "--measure"),
            "search asks for energy on here, which has no power sensor",
        ),
        (
            "search.constraints=[{metric: latency, on: boards, at_most: 5 ms}]",
            ("--bench",),
            "device board: its tool 'fast' was not found "
            "(available: python_runner); add it with `harness tools add fast --file …`.",
        ),
        (
            "search.constraints=[{metric: latency, on: phone, at_most: 5 ms}]",
            ("--dry-run", "--measure"),
            "no tool was added for android-arm64; "
            "run `harness tools add lce_benchmark_model_android_arm64`, or set `python`",
        ),
    ],
)
def test_what_devices_cannot_answer_is_refused_before_anything_starts(
    cli: Cli, tmp_path: Path, setting: str, options: tuple[str, ...], problem: str
) -> None:
    sweep, registry = tmp_path / "found.yaml", tmp_path / "devices.yaml"
    sweep.write_text(SEARCH)
    registry.write_text(
        "devices:\n  - {id: here, kind: local}\n"
        "  - {id: board, kind: ssh, host: 192.0.2.1, tags: [boards], tool: fast}\n"
        "  - {id: phone, kind: adb, serial: 1A051FDF6007}\n"
    )
    refused = cli.run("submit", "sweep", sweep, "--set", setting, *options, "--devices", registry)
    assert refused.returncode == 2, refused.stdout
    assert problem in refused.stderr
    assert "Starting Ray" not in refused.stdout


@pytest.mark.full
def test_a_search_continues_from_its_tried_points(cli: Cli, cluster: str, tmp_path: Path) -> None:
    sweep = tmp_path / "found.yaml"
    sweep.write_text(SEARCH)
    planned = cli.run("submit", "sweep", sweep, "--dry-run")
    assert "found: 1 point of its search to try, 0 already tried." in planned.stdout, planned.stderr
    assert (
        "here: 2 cases, 0 to measure, 2 more once the new trials are done, 0 already done."
        in planned.stdout
    )

    first = cli.run("submit", "sweep", sweep, "--address", cluster)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 trials done" in first.stdout
    tried = points(cli)
    assert len(tried) == 1
    assert all(
        0.001 <= point["train.learning_rate"] <= 0.1 and point["model.units"] in (8, 16)
        for point in tried
    )
    rates = {point["train.learning_rate"] for point in tried}
    recipes = [json.loads(row["recipe"]) for row in cli.rows("SELECT recipe FROM trials")]
    assert all(recipe["learning_rate"] in rates for recipe in recipes)

    again = cli.run(
        "submit",
        "sweep",
        sweep,
        "--address",
        cluster,
        "--set",
        "search.trials=2",
        "--set",
        "search.constraints=[{metric: size, at_most: 1 kB}]",
        "--bench",
        "--set",
        "bench.protocol=quick",
    )
    assert "found: 1 point of its search to try, 1 already tried." in again.stdout, again.stderr
    assert "2 trials done" in again.stdout, again.stdout + again.stderr
    assert points(cli)[:1] == tried
    assert len(points(cli)) == 2
    assert len(cli.rows("SELECT * FROM results")) == 4, "all artifacts of the search are benched"
    planned = cli.run("submit", "sweep", sweep, "--dry-run", "--set", "bench.protocol=quick")
    assert "0 points of its search to try, 2 already tried" in planned.stdout
    assert "here: 4 cases, 0 to measure, 4 already done." in planned.stdout


def points(cli: Cli) -> list[dict[str, float]]:
    rows = cli.rows("SELECT DISTINCT point FROM sweep_trials ORDER BY submitted_at")
    return [json.loads(row["point"]) for row in rows]


WITH_MISSING_DATA = """
name: choosy
dataset: digits
model: {name: mlp, layers: 1, units: 8}
precision: [float32]
train: {epochs: 1}
search:
  method: optuna
  trials: 6
  space: {dataset: [digits, fashion_mnist], train.learning_rate: {low: 0.001, high: 0.1}}
"""


@pytest.mark.full
def test_a_missing_data_set_fails_only_the_points_that_need_it(
    cli: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "choosy.yaml"
    sweep.write_text(WITH_MISSING_DATA)
    ended = Cli(cli.home, {"HARNESS_DATA": str(tmp_path)}).run(
        "submit", "sweep", sweep, "--address", cluster
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    reasons = {
        (row["dataset"], row["reason"]) for row in cli.rows("SELECT dataset, reason FROM trials")
    }
    assert reasons == {("digits", None), ("fashion_mnist", "no_data")}
