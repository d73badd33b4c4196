"""What goes wrong in one trial stays there; what ends the command loses nothing that was done."""

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


def test_trials_that_diverge_or_do_not_fit_fail_alone(cli: Cli, tmp_path: Path) -> None:
    sweep = tmp_path / "faulty.yaml"
    sweep.write_text(FAULTY)
    ended = cli.run("submit", "sweep", sweep, "--bench", "--set", "bench.protocol=quick")
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
    assert all(None not in row.values() for row in spent), (
        "a failed trial says where its time went too"
    )
    assert len(cli.rows("SELECT * FROM results")) == 1
    status = cli.run("status").stdout
    assert "diverged" in status
    assert "out_of_memory" in status

    again = cli.run("submit", "sweep", sweep, "--dry-run").stdout
    assert "3 trials, 2 to train, 1 already done" in again
    assert "failed before" in again


def test_interrupted_and_killed_it_ends_as_if_nothing_had_been(cli: Cli, tmp_path: Path) -> None:
    sweep = tmp_path / "longer.yaml"
    sweep.write_text(LONGER)

    first = cli.start("submit", "sweep", sweep)
    wait_for_line(first, DONE)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate()
    assert first.returncode == 130
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    finished = _finished(cli)
    assert finished

    second = cli.start("submit", "sweep", sweep)
    assert f"{4 - len(finished)} to train, {len(finished)} already done" in wait_for_line(
        second, "to train"
    )
    checkpoints = cli.home / "checkpoints"
    wait_until(
        lambda: any(checkpoints.glob("*.npz")), "a training leaves a checkpoint", patience_s=120
    )
    _worker(second).kill()
    assert "killed" in wait_for_line(second, "failed")
    wait_until(
        lambda: len(list(checkpoints.glob("*.npz"))) > 1,
        "the next one leaves another",
        patience_s=120,
    )
    workers = psutil.Process(second.pid).children(recursive=True)
    second.kill()
    second.communicate()
    gone, alive = psutil.wait_procs(workers, timeout=240)
    assert gone
    running = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not running, "Ray's processes end with the driver"

    third = cli.run("submit", "sweep", sweep)
    assert third.returncode == 0, third.stdout + third.stderr
    doubled = "SELECT trial_id FROM trial_artifacts GROUP BY trial_id HAVING count(*) > 1"
    assert cli.rows(doubled) == []
    assert not any(checkpoints.glob("*.npz")), "they have served"

    undisturbed = Cli(tmp_path / "undisturbed")
    whole = undisturbed.run("submit", "sweep", sweep)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for what in (
        "SELECT id, precision, accuracy FROM trials WHERE status = 'done' ORDER BY id",
        "SELECT trial_id, artifact, accuracy FROM trial_artifacts ORDER BY trial_id",
        "SELECT trial_id, number, loss, validation_accuracy FROM epochs ORDER BY trial_id, number",
    ):
        assert cli.rows(what) == undisturbed.rows(what)
    assert len(_finished(cli)) == 4


def _worker(driver: "subprocess.Popen[str]") -> psutil.Process:
    """One that is at a trial."""

    def at_work() -> list[psutil.Process]:
        return [
            one
            for one in psutil.Process(driver.pid).children(recursive=True)
            if one.name().endswith(".train")
        ]

    wait_until(lambda: bool(at_work()), "a worker is at work", patience_s=120)
    return at_work()[0]


def _finished(cli: Cli) -> set[str]:
    return {row["id"] for row in cli.rows("SELECT id FROM trials WHERE status = 'done'")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("train.epoch=1", "train.epoch is not a key"),
        ("dataset=cifar", "dataset is 'cifar', which is unknown; use digits"),
        ("model.name=resnet", "model.name is 'resnet'; known: binarynet"),
        ("model.units=many", 'model.units is "many"'),
        ("train.loss=hinge", "train.loss is"),
        ("grid.model.units=[]", "grid.model.units is empty"),
        ("train.validation=0.99", "train.validation is 0.99"),
        ("bench.threads=[5000]", "bench.threads.0 is 5000"),
        ("resources.cpu=1000000", "no node has both"),
    ],
)
def test_a_wrong_request_starts_nothing(
    cli: Cli, repository: Path, change: str, words: str
) -> None:
    ended = cli.run("submit", "sweep", repository / "jobs" / "quickstart.yaml", "--set", change)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    cli.run("db", "upgrade")
    assert cli.rows("SELECT * FROM trials") == []


def test_a_data_set_that_is_nowhere_says_where_to_put_it(tmp_path: Path, repository: Path) -> None:
    cli = Cli(tmp_path / "workspace", {"HARNESS_DATA": str(tmp_path)})
    sweep = repository / "jobs" / "fashion_mnist_study.yaml"
    one = ("precision=[float32]", "seeds=[0]", "train.loss=squared_hinge", "model.units=8")
    ended = cli.run(
        "submit", "sweep", sweep, *(word for setting in one for word in ("--set", setting))
    )
    assert ended.returncode == 1
    (failed,) = cli.rows("SELECT reason, message FROM trials")
    assert failed["reason"] == "no_data"
    assert "train-images-idx3-ubyte.gz" in failed["message"]
    assert "$HARNESS_DATA/fashion-mnist" in failed["message"]
