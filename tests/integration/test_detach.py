"""Detached sweeps, which a Ray cluster runs even after the shell has ended."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.harness_cli import Cli
from tests.waiting import wait_until

STUDY = """
name: study
dataset: digits
model: {name: mlp, layers: 1, units: 8}
precision: [float32]
train: {epochs: 1, optimizer: sgd}
"""
ENDLESS = "points=[{train.epochs: 1}, {train.epochs: 1000000}]"
DIVERGING = "points=[{train.epochs: 1}, {train.learning_rate: 1.0e+30}]"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Cli]:
    """Yield the command of a user without a Ray cluster; all that it starts ends with the test."""
    # The name of pytest's own folder is too long for Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        home = tmp_path / "home"
        home.mkdir()
        try:
            yield Cli(tmp_path / "workspace", {"HOME": str(home), "TMPDIR": folder})
        finally:
            kill_ray(folder)


def kill_ray(folder: str) -> None:
    processes = []
    for root in find_ray(folder):
        processes += [*root.children(recursive=True), root]
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ends when its parent does
            process.kill()
    psutil.wait_procs(processes, timeout=60)


def find_ray(folder: str) -> list[psutil.Process]:
    """Return the `ray start` process with its files in the folder, if it runs."""
    return [process for process in psutil.process_iter() if is_ray_in(process, folder)]


def is_ray_in(process: psutil.Process, folder: str) -> bool:
    return any("temp-dir" in word and folder in word for word in read_command_line(process))


def read_command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has just ended
        return []


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "a study.yaml"
    file.write_text(STUDY)
    return file


def detach(shell: Cli, study: Path, *options: str) -> str:
    """Detach the sweep and return the job's id."""
    ended = shell.run("submit", "sweep", study, "--detach", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "harness status --follow" in ended.stdout
    return str(re.findall(r"job-\w+", ended.stdout)[0])


def read_states(shell: Cli) -> dict[str, str]:
    """Return the jobs' states after `harness status` has updated them."""
    ended = shell.run("status")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = shell.rows("SELECT id, state FROM jobs")
    assert all(re.search(rf"{row['id']} .* {row['state']} ", ended.stdout) for row in rows), (
        ended.stdout
    )
    return {row["id"]: row["state"] for row in rows}


@pytest.mark.full
def test_a_job_outlives_its_shell_and_a_lost_one_is_resumed_by_submitting_it_again(
    shell: Cli, study: Path
) -> None:
    endless = detach(shell, study, "--set", ENDLESS)
    again = shell.run("submit", "sweep", study, "--detach", "--set", ENDLESS)
    assert again.returncode == 2
    assert f"study is already running as {endless}" in again.stderr

    log = f"sqlite:///{shell.home / 'mlflow.db'}"
    short = detach(shell, study, "--set", "name=short", "--set", "model.units=16", "--mlflow", log)
    wait_until(
        lambda: shell.rows("SELECT state FROM jobs WHERE sweep = 'short'") == [{"state": "done"}],
        "the short job",
        patience_s=240,
    )
    assert read_states(shell) == {endless: "running", short: "done"}, (
        "the cluster continues for the other job"
    )
    assert shell.rows("SELECT status FROM trials WHERE sweep = 'short'") == [{"status": "done"}]
    (experiment,) = MlflowClient(log).search_experiments(filter_string="name = 'short'")
    (logged,) = MlflowClient(log).search_runs([experiment.experiment_id])
    assert logged.info.status == "FINISHED"

    one_trial_done = "SELECT id FROM trials WHERE sweep = 'study' AND status = 'done'"
    wait_until(
        lambda: len(shell.rows(one_trial_done)) == 1,
        "the endless sweep's short trial",
        patience_s=240,
    )
    kill_ray(shell.settings["TMPDIR"])
    assert read_states(shell) == {endless: "lost", short: "done"}
    assert "submit the sweep again to continue" in shell.run("status").stdout
    followed = shell.run("status", "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "1 trial done" in followed.stdout
    assert f"{short} is done." in followed.stdout

    diverging = detach(shell, study, "--set", DIVERGING)
    followed = shell.run("status", "--follow")
    assert followed.returncode == 1, "like the job's exit code"
    assert "2 trials, 1 to train, 1 already done" in followed.stdout
    assert "1 failed" in followed.stdout
    assert read_states(shell) == {endless: "lost", short: "done", diverging: "failed"}
    wait_until(lambda: not find_ray(shell.settings["TMPDIR"]), "the cluster ends with its last job")


@pytest.mark.full
@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["--set", "train.epoch=1"], {}, "train.epoch is not a known key"),
        (["--address", "192.0.2.77:6379"], {}, "--address 192.0.2.77:6379: is not on this machine"),
        (["--address", "127.0.0.1:1"], {}, "--address 127.0.0.1:1: no Ray cluster answers there"),
        (["--address", "nonsense"], {}, "give HOST:PORT of a running cluster, or auto"),
        (
            [],
            {"HARNESS_DATABASE_URL": "postgresql+psycopg://me:secret@db/harness"},
            "holds a password",
        ),
        (
            [],
            {"HARNESS_DATABASE_URL": "postgresql+psycopg://db/harness?password=secret"},
            "holds a password",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(
    shell: Cli, study: Path, options: list[str], settings: dict[str, str], message: str
) -> None:
    refused = Cli(shell.home, {**shell.settings, **settings}).run(
        "submit", "sweep", study, "--detach", *options
    )
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert message in refused.stderr
    assert "secret" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not find_ray(shell.settings["TMPDIR"])
    shell.run("db", "upgrade")
    assert shell.rows("SELECT * FROM jobs") == []
