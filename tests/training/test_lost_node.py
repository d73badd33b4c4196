"""A node of a Ray cluster that is lost while it trains."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from harness.training.snapshot import unpack
from tests.harness_cli import Cli
from tests.ray_nodes import HEAD, TOKEN, head_address, run_node

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
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
train: {epochs: 60, batch_size: 20}
resources: {cpu: 1, gpu: 0, checkpoint_s: 0.2}
"""
# Each worker dies as soon as a checkpoint is stored that it made itself, and keeps a copy of it.
MORTAL_NETWORK = """
import os
import signal
import threading
import time
from pathlib import Path

from tensorflow.keras import Sequential, layers


def network(task, checkpoints, copies):
    threading.Thread(target=die, args=(Path(checkpoints), Path(copies)), daemon=True).start()
    return Sequential([layers.Flatten(input_shape=task.shape), layers.Dense(task.classes)])


def die(checkpoints, copies):
    before = read(checkpoints)
    while (content := read(checkpoints)) == before:
        time.sleep(0.05)
    number = len(list(copies.iterdir()))
    copies.joinpath(str(number)).write_bytes(content)
    os.kill(os.getpid(), signal.SIGKILL)


def read(checkpoints):
    return b"".join(file.read_bytes() for file in checkpoints.glob("*.npz"))
"""
MORTAL_SWEEP = """
name: mortal
dataset: digits
model: {name: "mortal:network", checkpoints: CHECKPOINTS, copies: COPIES}
precision: [float32]
train: {epochs: 1000000, batch_size: 500}
resources: {cpu: 2, gpu: 0, checkpoint_s: 0.2}
"""
KILLS = 6
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
    with run_node(place, *HEAD, settings={**ALERT, "GATE": str(gate)}):
        yield head_address(place)


@pytest.mark.full
def test_a_lost_worker_continues_from_its_checkpoint_and_is_given_up_after_three_tries(
    address: str, tmp_path: Path
) -> None:
    """Only the second node has the CPUs of a trial, yet events wait on the driver's."""
    with run_node(tmp_path / "second", f"--address={address}", "--num-cpus=2"):
        check_that_queues_are_on_one_node(address)
        cli = Cli(tmp_path / "workspace", TOKEN)
        checkpoints, copies = cli.home / "checkpoints", tmp_path / "copies"
        copies.mkdir()
        sweep = MORTAL_SWEEP.replace("CHECKPOINTS", str(checkpoints))
        (tmp_path / "mortal.yaml").write_text(sweep.replace("COPIES", str(copies)))
        (tmp_path / "mortal.py").write_text(MORTAL_NETWORK)
        ended = cli.run("submit", "sweep", "mortal.yaml", "--address", address, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert len(RETRIED.findall(ended.stdout)) == 2
    assert cli.rows("SELECT status, reason FROM trials") == [{"status": "failed", "reason": "lost"}]

    curves = [unpack((copies / str(number)).read_bytes()).curve for number in range(3)]
    assert len(list(copies.iterdir())) == 3
    for before, after in pairwise(curves):
        assert len(before) < len(after)
        assert after[: len(before)] == before, "the same epochs, to the microsecond"


def check_that_queues_are_on_one_node(address: str) -> None:
    """Check that six new queues are on the node of their driver."""
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
    assert "8 trials done" in printed
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
