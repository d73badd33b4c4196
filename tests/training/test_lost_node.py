"""A node of a Ray cluster that is lost while it trains."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from tests.harness_cli import Cli
from tests.ray_nodes import TOKEN, head_address, run_node

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
LONGEST_LIFE_S = 8
# Else Ray takes 15 s to notice that a node is gone
ALERT = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
RETRIED = re.compile(r"^(\w+) .*: lost: will be tried again", re.MULTILINE)
ARTIFACTS = "SELECT seed, artifact FROM trials JOIN trial_artifacts ON trials.id = trial_id"


# Ray would put each queue on any of the nodes.
QUEUES = """
import json
import sys

import ray
from harness.training.ray_tune import create_channel

ray.init(address=sys.argv[1], log_to_driver=False)


def get_node(_=None):
    return ray.get_runtime_context().get_node_id()


channels = [create_channel() for _ in range(6)]
print(json.dumps([get_node(), *ray.get([c.actor.__ray_call__.remote(get_node) for c in channels])]))
"""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> Iterator[str]:
    """Yield the address of a head node, which trains too, but only after the gate is there."""
    place = tmp_path_factory.mktemp("cluster") / "head"
    options = ("--head", "--port=0", "--include-dashboard=false")
    with run_node(place, *options, settings={**ALERT, "GATE": str(gate)}):
        yield head_address(place)


@pytest.mark.full
def test_the_queue_of_events_is_on_the_node_of_the_driver(address: str, tmp_path: Path) -> None:
    with run_node(tmp_path / "second", f"--address={address}"):
        ended = subprocess.run(
            [sys.executable, "-c", QUEUES, address],
            env={**os.environ, **TOKEN},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert len(set(json.loads(ended.stdout.splitlines()[-1]))) == 1


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
