"""A cluster of two nodes that share nothing but the network: code, data and results go through Ray."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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

# Ray asks for a token by default; whoever joins a cluster has to bring its token, and to say so.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "for-this-test-" + 18 * "0"}
RAY = Path(sys.executable).with_name("ray")

# Each worker leaves a note, and goes on when as many workers have as there have to be at once.
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
        assert time.monotonic() < deadline, "the others never came"
        time.sleep(0.1)
    return keras.Sequential([keras.layers.Flatten(input_shape=task.shape), dense(units), dense(task.classes)])
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
    """`folders` are the nodes' own: the head's, and one with a claimed GPU."""

    address: str
    folders: tuple[Path, Path]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Runs until the test ends."""
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
    """A node whose working folder is `place`, without data, and with a folder for Ray's files, which it yields."""
    place.mkdir()
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    settings = {**kept, "RAY_USAGE_STATS_ENABLED": "0", "HARNESS_DATA": str(place), **TOKEN}
    ports = ("--dashboard-agent-listen-port=0", "--num-cpus=1", "--block")
    # pytest's own folder has too long a name for Ray's sockets in it
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
            for one in family:
                with suppress(psutil.NoSuchProcess):  # it goes when its parent does
                    one.kill()
            psutil.wait_procs(family, timeout=60)


def head_address(log: Path) -> str:
    started = re.compile(r"--address='([\d.]+:\d+)'")
    wait_until(lambda: started.search(log.read_text()) is not None, "the head node", patience_s=120)
    return str(started.findall(log.read_text())[0])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The submitter's working folder: a network in two files, its data and a sweep."""
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


def notes_of(
    cluster: Cluster, cli: Cli, work: Path, name: str, *changes: str
) -> list[dict[str, Any]]:
    """What the workers left that trained the sweep."""
    notes = work / name
    notes.mkdir()
    (work / "sweep.yaml").write_text(SWEEP.replace("NOTES", str(notes)))
    options = [word for change in changes for word in ("--set", change)]
    ended = cli.run(
        "submit", "sweep", "sweep.yaml", "--address", cluster.address, *options, cwd=work
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads(note.read_text()) for note in notes.glob("*.json")]


def test_both_nodes_train_with_what_ray_brings_them_and_are_left_running(
    cluster: Cluster, tmp_path: Path, work: Path
) -> None:
    cli = Cli(tmp_path / "workspace", TOKEN)
    notes = notes_of(cluster, cli, work=work, name="both")
    assert len({note["node"] for note in notes}) == 2
    for name in ("harness/__init__.py", "network.py", "pieces.py"):
        files = [Path(file) for note in notes for file in note["files"] if file.endswith(name)]
        places = {
            folder for folder in cluster.folders for file in files if file.is_relative_to(folder)
        }
        assert places == set(cluster.folders), f"each node imports {name} from a copy of its own"
    done = "SELECT trial_id, sha256 FROM trials JOIN trial_artifacts ON trial_id = id JOIN artifacts ON sha256 = artifact WHERE status = 'done'"
    rows = cli.rows(done)
    assert len(rows) == 4
    assert all(ArtifactFiles(cli.home / "artifacts").path(row["sha256"]).is_file() for row in rows)

    halves = notes_of(
        cluster, cli, work, "halves", "resources={cpu: 0.5, gpu: 0.5}", "grid.model.units=[40, 48]"
    )
    assert len(halves) == 2, "at once, as neither went on before the other had come"
    assert len({note["node"] for note in halves}) == 1, "the one that has a GPU"
    assert len(cli.rows(done)) == 6
