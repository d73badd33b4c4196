"""A node of a Ray cluster that is lost while it trains."""

import random
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from tests.harness_cli import Cli
from tests.ray_nodes import TOKEN, head_address, run_node, wait_for_node

# On a node with the variable GATE, it waits for that file: other nodes get the trials meanwhile.
NETWORK = """
import os
import time
from pathlib import Path

from tensorflow.keras import Model, layers


def network(task):
    while "GATE" in os.environ and not Path(os.environ["GATE"]).exists():
        time.sleep(0.1)
    image = layers.Input(task.shape)
    hidden = layers.Dropout(0.1)(layers.Dense(16, activation="relu")(layers.Flatten()(image)))
    return Model(image, layers.Dense(task.classes)(hidden))
"""
SWEEP = """
name: lossy
dataset: digits
model: {name: "network:network"}
precision: [float32]
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
train: {epochs: 60, batch_size: 20}
resources: {cpu: 1, gpu: 0, checkpoint_s: 0.2}
"""
KILLS = 10
LONGEST_LIFE_S = 10
# Else Ray takes 15 s to notice that a node is gone
ALERT = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
RETRIED = re.compile(r"^(\w+) .*: lost: will be tried again", re.MULTILINE)
ARTIFACTS = "SELECT seed, artifact FROM trials JOIN trial_artifacts ON trials.id = trial_id"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def address(tmp_path: Path, gate: Path) -> Iterator[str]:
    """Yield the address of a head node, which trains too, but only after the gate is there."""
    options = ("--head", "--port=0", "--include-dashboard=false")
    settings = {**ALERT, "GATE": str(gate)}
    with run_node(tmp_path / "head", *options, settings=settings):
        yield head_address(tmp_path / "head")


@pytest.mark.full
def test_nodes_lost_at_random_moments_cost_no_trial_and_change_no_result(
    address: str, gate: Path, tmp_path: Path
) -> None:
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "lossy.yaml").write_text(SWEEP)
    submission = ("submit", "sweep", "lossy.yaml", "--address", address)
    moments = random.Random(20161)
    cli = Cli(tmp_path / "workspace", TOKEN)
    command = cli.start(*submission, cwd=tmp_path)
    for number in range(KILLS):
        place = tmp_path / f"second{number}"
        with run_node(place, f"--address={address}") as second:
            wait_for_node(place)
            with suppress(TimeoutExpired):
                command.wait(moments.uniform(0, LONGEST_LIFE_S))
            second.kill()
    gate.touch()
    printed, problems = command.communicate()
    assert command.returncode == 0, printed + problems
    assert "10 trials done" in printed
    retried = set(RETRIED.findall(printed))
    assert retried, "some node was lost in the middle of a trial"

    seeds = {row["id"]: row["seed"] for row in cli.rows("SELECT id, seed FROM trials")}
    repeated = [seeds[trial] for trial in sorted(retried)[:2]]
    undisturbed = Cli(tmp_path / "undisturbed", TOKEN)
    ended = undisturbed.run(*submission, "--set", f"seeds={repeated}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    artifacts = {row["seed"]: row["artifact"] for row in cli.rows(ARTIFACTS)}
    assert len(artifacts) == len(seeds)
    for row in undisturbed.rows(ARTIFACTS):
        assert artifacts[row["seed"]] == row["artifact"]
