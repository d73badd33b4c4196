"""A cluster of two nodes that share only the network: Ray carries code, data and results."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits

from harness.store.files.artifacts import ArtifactFiles
from tests.harness_cli import Cli
from tests.waiting import wait_until

# Ray needs a token by default; to join a cluster, a process must set its token and the mode.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "for-this-test-" + 18 * "0"}
RAY = Path(sys.executable).with_name("ray")

# Each worker writes a note, and waits until as many notes exist as workers must run at once.
NETWORK = """
import json, os, sys, time
from pathlib import Path

import harness
import ray
from harness.models.keras import keras
from pieces import dense

PATIENCE_S = 240


def network(task, units, notes, together):
    places = [Path(place, name) for place in sys.path for name in ("network.py", "pieces.py")]
    own = [str(place) for place in places if place.is_file()]
    note = {"node": ray.get_runtime_context().get_node_id(), "files": [harness.__file__, *own]}
    Path(notes, f"{os.getpid()}.json").write_text(json.dumps(note))
    deadline = time.monotonic() + PATIENCE_S
    while len(list(Path(notes).glob("*.json"))) < together:
        assert time.monotonic() < deadline, "the other workers never started"
        time.sleep(0.1)
    flatten = keras.layers.Flatten(input_shape=task.shape)
    return keras.Sequential([flatten, dense(units), dense(task.classes)])
"""
PIECES = """
from harness.models.keras import keras


def dense(units):
    return keras.layers.Dense(units)
"""

SWEEP = """
name: two-nodes
dataset: digits.npz
model: {name: "network:network", notes: NOTES, together: 2}
precision: [float32]
train: {epochs: 1}
grid: {model.units: [8, 16, 24, 32]}
resources: {cpu: 1, gpu: 0}
"""


@dataclass(frozen=True)
class Cluster:
    """Two nodes by their `folders`: the head, and one that claims to have a GPU."""

    address: str
    folders: tuple[Path, Path]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Yield a cluster that runs until the test ends."""
    with node(tmp_path / "head", "--head", "--port=0", "--include-dashboard=false") as head:
        address = head_address(tmp_path / "head" / "ray.log")
        with node(tmp_path / "second", f"--address={address}", "--num-gpus=1") as second:
            wait_until(
                lambda: "Ray runtime started" in (tmp_path / "second" / "ray.log").read_text(),
                "a node",
                patience_s=120,
            )
            yield Cluster(address, (head, second))


@contextmanager
def node(place: Path, *options: str) -> Iterator[Path]:
    """Run a node in the working folder `place`, without data; yield the folder of Ray's files."""
    place.mkdir()
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    settings = {**inherited, "RAY_USAGE_STATS_ENABLED": "0", "HARNESS_DATA": str(place), **TOKEN}
    ports = ("--dashboard-agent-listen-port=0", "--num-cpus=1", "--block")
    # The path of pytest's own folder is too long for Ray's sockets
    with (
        (place / "ray.log").open("w") as log,
        TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
    ):
        command = [RAY, "start", *ports, *options, f"--temp-dir={folder}"]
        process = psutil.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=settings, cwd=place
        )
        try:
            yield Path(folder)
        finally:
            family = [*process.children(recursive=True), process]
            for member in family:
                with suppress(psutil.NoSuchProcess):  # it may end with its parent
                    member.kill()
            psutil.wait_procs(family, timeout=60)


def head_address(log: Path) -> str:
    address = re.compile(r"--address='([\d.]+:\d+)'")
    wait_until(lambda: address.search(log.read_text()) is not None, "the head node", patience_s=120)
    return str(address.findall(log.read_text())[0])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Create the submitter's working folder, with a network in two files and its data."""
    place = tmp_path / "work"
    place.mkdir()
    digits = load_digits()
    images, labels = digits.images.astype(np.float32) / 16, digits.target
    np.savez(
        place / "digits.npz",
        x_train=images[:600],
        y_train=labels[:600],
        x_test=images[600:800],
        y_test=labels[600:800],
    )
    (place / "network.py").write_text(NETWORK)
    (place / "pieces.py").write_text(PIECES)
    return place


def train_sweep(
    cluster: Cluster, cli: Cli, work: Path, name: str, settings: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Submit the sweep and return the notes of the workers that trained it."""
    notes = work / name
    notes.mkdir()
    (work / "sweep.yaml").write_text(SWEEP.replace("NOTES", str(notes)))
    options = ["sweep.yaml", "--address", cluster.address]
    for setting in settings:
        options += ["--set", setting]
    ended = cli.run("submit", "sweep", *options, cwd=work)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads(note.read_text()) for note in notes.glob("*.json")]


def nodes_with(cluster: Cluster, files: Sequence[str], name: str) -> set[Path]:
    """Return the folders of the nodes that hold a file of this name."""
    nodes: set[Path] = set()
    for file in files:
        if file.endswith(name):
            nodes.update(folder for folder in cluster.folders if Path(file).is_relative_to(folder))
    return nodes


@pytest.mark.full
def test_both_nodes_train_with_the_code_that_ray_brings_and_keep_running(
    cluster: Cluster, tmp_path: Path, work: Path
) -> None:
    cli = Cli(tmp_path / "workspace", TOKEN)
    notes = train_sweep(cluster, cli, work=work, name="both")
    assert len({note["node"] for note in notes}) == 2
    files = list(chain.from_iterable(note["files"] for note in notes))
    for name in ("harness/__init__.py", "network.py", "pieces.py"):
        assert nodes_with(cluster, files, name=name) == set(cluster.folders), (
            f"each node imports {name} from its own copy"
        )
    finished = (
        "SELECT trial_id, sha256 FROM trials JOIN trial_artifacts ON trial_id = id "
        "JOIN artifacts ON sha256 = artifact WHERE status = 'done'"
    )
    rows = cli.rows(finished)
    assert len(rows) == 4
    assert all(ArtifactFiles(cli.home / "artifacts").path(row["sha256"]).is_file() for row in rows)

    settings = ["resources={cpu: 0.5, gpu: 0.5}", "grid.model.units=[40, 48]"]
    halves = train_sweep(cluster, cli, work=work, name="halves", settings=settings)
    assert len(halves) == 2, "both at once, as each waited for the other"
    assert len({note["node"] for note in halves}) == 1, "the one with the GPU"
    assert len(cli.rows(finished)) == 6
