"""A cluster of two nodes that share only the network: Ray carries code, data and results."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.store.files.artifacts import ArtifactFiles
from tests.harness_cli import Cli
from tests.ray_nodes import HEAD, TOKEN, head_address, run_node

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
    with run_node(tmp_path / "head", *HEAD) as head:
        address = head_address(tmp_path / "head")
        with run_node(tmp_path / "second", f"--address={address}", "--num-gpus=1") as second:
            yield Cluster(address, (head.folder, second.folder))


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
    cluster: Cluster,
    cli: Cli,
    work: Path,
    name: str,
    settings: Sequence[str] = (),
    exit_code: int = 0,
) -> list[dict[str, Any]]:
    """Submit the sweep and return the notes of the workers that built its networks."""
    notes = work / name
    notes.mkdir()
    (work / "sweep.yaml").write_text(SWEEP.replace("NOTES", str(notes)))
    options = ["sweep.yaml", "--address", cluster.address]
    for setting in settings:
        options += ["--set", setting]
    ended = cli.run("submit", "sweep", *options, cwd=work)
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
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

    # Ray believes that the second node has a GPU; TensorFlow knows better.
    settings = ["resources={cpu: 0.5, gpu: 0.5}", "grid.model.units=[40, 48]"]
    assert train_sweep(cluster, cli, work=work, name="gpu", settings=settings, exit_code=1) == []
    failed = cli.rows("SELECT reason, message, processors FROM trials WHERE status = 'failed'")
    assert [(row["reason"], row["processors"]) for row in failed] == 2 * [("no_gpu", "CPU")]
    assert all("TensorFlow sees no GPU" in row["message"] for row in failed)
    assert {row["processors"] for row in cli.rows("SELECT processors FROM trials")} == {"CPU"}

    left = chain.from_iterable(folder.rglob("__autograph*") for folder in cluster.folders)
    assert list(left) == [], "workers remove the files that TensorFlow generates"
