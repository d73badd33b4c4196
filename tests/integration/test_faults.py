"""Trials that fail do not affect others, and an interrupted sweep loses no finished trial."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.harness_cli import Cli, wait_for_line
from tests.waiting import wait_until

DONE = "kB at"

FAULTY = """
name: faulty
dataset: digits
model: {name: mlp, layers: 2, units: 16}
precision: [float32]
train: {epochs: 2, optimizer: sgd, learning_rate: 0.01}
resources: {cpu: 2}
points:
  - {train.learning_rate: 0.01}
  - {train.learning_rate: 1.0e+30}
  - {model.units: 3000000}
"""

LONGER = """
name: longer
dataset: digits
model: {name: mlp, layers: 1}
precision: [binary, int8]
train: {epochs: 60, learning_rate: 0.01}
resources: {cpu: 2, checkpoint_s: 0.001}
grid: {model.units: [8, 16]}
"""


@pytest.mark.full
def test_trials_that_diverge_or_do_not_fit_fail_alone(
    cli: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "faulty.yaml"
    sweep.write_text(FAULTY)
    ended = cli.run(
        "submit", "sweep", sweep, "--address", cluster, "--bench", "--set", "bench.protocol=quick"
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 trial done, 2 failed" in ended.stdout
    rows = cli.rows("SELECT status, reason, message FROM trials ORDER BY reason")
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("done", None),
        ("failed", "diverged"),
        ("failed", "out_of_memory"),
    ]
    assert "lower train.learning_rate" in rows[1]["message"]
    spent = cli.rows("SELECT node, waiting_s, import_s, data_s, fit_s FROM trials")
    assert all(None not in row.values() for row in spent), "a failed trial has its timings too"
    assert len(cli.rows("SELECT * FROM results")) == 1
    status = cli.run("status").stdout
    assert "diverged" in status
    assert "out_of_memory" in status

    again = cli.run("submit", "sweep", sweep, "--dry-run").stdout
    assert "3 trials, 2 to train, 1 already done" in again
    assert "failed before" in again


@pytest.mark.full
def test_an_interrupted_and_killed_sweep_resumes_to_identical_results(
    cli: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "longer.yaml"
    sweep.write_text(LONGER)

    first = cli.start("submit", "sweep", sweep)
    wait_for_line(first, DONE)
    first.send_signal(signal.SIGINT)
    _, printed = first.communicate()
    assert first.returncode == 130
    assert "run the same command again to continue" in printed
    assert "Traceback" not in printed
    finished = read_finished_trials(cli)
    assert finished

    second = cli.start("submit", "sweep", sweep)
    assert f"{4 - len(finished)} to train, {len(finished)} already done" in wait_for_line(
        second, "to train"
    )
    checkpoints = cli.home / "checkpoints"
    wait_until(
        lambda: any(checkpoints.glob("*.npz")), "a trial has saved a checkpoint", patience_s=120
    )
    find_busy_worker(second).kill()
    assert "killed" in wait_for_line(second, "failed")
    wait_until(
        lambda: len(list(checkpoints.glob("*.npz"))) > 1,
        "the next trial has saved another",
        patience_s=120,
    )
    workers = psutil.Process(second.pid).children(recursive=True)
    second.kill()
    second.communicate()

    third = cli.run("submit", "sweep", sweep)
    assert third.returncode == 0, third.stdout + third.stderr
    doubled = "SELECT trial_id FROM trial_artifacts GROUP BY trial_id HAVING count(*) > 1"
    assert cli.rows(doubled) == []
    assert not any(checkpoints.glob("*.npz")), "checkpoints of finished trials are deleted"

    undisturbed = Cli(tmp_path / "undisturbed")
    uninterrupted = undisturbed.run("submit", "sweep", sweep, "--address", cluster)
    assert uninterrupted.returncode == 0, uninterrupted.stdout + uninterrupted.stderr
    for sql in (
        "SELECT id, precision, accuracy FROM trials WHERE status = 'done' ORDER BY id",
        "SELECT trial_id, artifact, accuracy FROM trial_artifacts ORDER BY trial_id",
        "SELECT trial_id, number, loss, validation_accuracy FROM epochs ORDER BY trial_id, number",
    ):
        assert cli.rows(sql) == undisturbed.rows(sql)
    assert len(read_finished_trials(cli)) == 4

    # Ray's agents end a minute after the driver, so this waits for them last
    ended, alive = psutil.wait_procs(workers, timeout=240)
    assert ended
    running = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not running, "Ray's processes end with the driver"


def find_busy_worker(driver: "subprocess.Popen[str]") -> psutil.Process:
    """Wait for a worker that trains a trial, and return its process."""

    def list_busy_workers() -> list[psutil.Process]:
        processes = psutil.Process(driver.pid).children(recursive=True)
        return [process for process in processes if process.name().endswith(".train")]

    wait_until(lambda: bool(list_busy_workers()), "a worker trains a trial", patience_s=120)
    return list_busy_workers()[0]


def read_finished_trials(cli: Cli) -> set[str]:
    return {row["id"] for row in cli.rows("SELECT id FROM trials WHERE status = 'done'")}


@pytest.mark.full
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epoch=1", "train.epoch is not a known key"),
        ("dataset=cifar", "dataset is unknown: 'cifar'; use digits"),
        ("model.name=resnet", "model.name is unknown: 'resnet'; use binarynet"),
        ("model.units=many", 'model.units is "many"'),
        ("train.loss=hinge", "train.loss is"),
        ("grid.model.units=[]", "grid.model.units is empty"),
        ("train.validation=0.99", "train.validation is 0.99"),
        ("bench.threads=[5000]", "bench.threads.0 is 5000"),
        ("resources.cpu=1000000", "no node has the 1e+06 CPU"),
    ],
)
def test_a_wrong_request_starts_nothing(
    cli: Cli, repository: Path, change: str, message: str
) -> None:
    ended = cli.run("submit", "sweep", repository / "jobs" / "quickstart.yaml", "--set", change)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    cli.run("db", "upgrade")
    assert cli.rows("SELECT * FROM trials") == []


@pytest.mark.full
def test_a_cluster_that_authenticates_in_another_way_is_told(
    tmp_path: Path, cluster: str, repository: Path
) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-another-cluster" + 16 * "0"}
    sweep = repository / "jobs" / "quickstart.yaml"
    refused = Cli(tmp_path / "workspace", token).run("submit", "sweep", sweep, "--address", cluster)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "set RAY_AUTH_MODE, which is token here" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.full
def test_a_missing_data_set_names_the_folder_to_put_it_into(
    tmp_path: Path, cluster: str, repository: Path
) -> None:
    cli = Cli(tmp_path / "workspace", {"HARNESS_DATA": str(tmp_path)})
    sweep = repository / "jobs" / "fashion_mnist_study.yaml"
    settings = []
    for setting in (
        "precision=[float32]",
        "seeds=[0]",
        "train.loss=squared_hinge",
        "model.units=8",
    ):
        settings += ["--set", setting]
    ended = cli.run("submit", "sweep", sweep, "--address", cluster, *settings)
    assert ended.returncode == 1
    (failed,) = cli.rows("SELECT reason, message FROM trials")
    assert failed["reason"] == "no_data"
    assert "train-images-idx3-ubyte.gz" in failed["message"]
    assert "$HARNESS_DATA/fashion-mnist" in failed["message"]
