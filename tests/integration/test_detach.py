"""A sweep that a Ray cluster of its own runs, whatever becomes of the shell: followed, lost, gone on with."""

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
    """A user of their own, whom no Ray of this machine belongs to; whatever they start ends with the test."""
    # pytest's own folder has too long a name for Ray's sockets in it
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        home = tmp_path / "home"
        home.mkdir()
        try:
            yield Cli(tmp_path / "workspace", {"HOME": str(home), "TMPDIR": folder})
        finally:
            kill_ray(folder)


def kill_ray(folder: str) -> None:
    roots = ray_of(folder)
    family = [one for root in roots for one in (*root.children(recursive=True), root)]
    for one in family:
        with suppress(psutil.NoSuchProcess):  # it goes when its parent does
            one.kill()
    psutil.wait_procs(family, timeout=60)


def ray_of(folder: str) -> list[psutil.Process]:
    """The `ray start` with its files in there, if it runs."""
    return [
        one
        for one in psutil.process_iter()
        if any(folder in word for word in words(one) if "temp-dir" in word)
    ]


def words(process: psutil.Process) -> list[str]:
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
    """The job's id."""
    ended = shell.run("submit", "sweep", study, "--detach", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "harness status --follow" in ended.stdout
    return str(re.findall(r"job-\w+", ended.stdout)[0])


def states(shell: Cli) -> dict[str, str]:
    """Of the jobs, once `status` has asked."""
    ended = shell.run("status")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = shell.rows("SELECT id, state FROM jobs")
    assert all(re.search(rf"{row['id']} .* {row['state']} ", ended.stdout) for row in rows), (
        ended.stdout
    )
    return {row["id"]: row["state"] for row in rows}


def test_a_job_outlives_its_shell_and_what_is_lost_with_its_cluster_is_gone_on_with(
    shell: Cli, study: Path
) -> None:
    endless = detach(shell, study, "--set", ENDLESS)
    again = shell.run("submit", "sweep", study, "--detach", "--set", ENDLESS)
    assert again.returncode == 2
    assert f"study: is under way already, as {endless}" in again.stderr

    log = f"sqlite:///{shell.home / 'mlflow.db'}"
    short = detach(shell, study, "--set", "name=short", "--set", "model.units=16", "--mlflow", log)
    followed = shell.run("status", "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "1 trial done" in followed.stdout
    assert f"{short} is done." in followed.stdout
    assert states(shell) == {endless: "running", short: "done"}, (
        "the cluster goes on for the other one"
    )
    assert shell.rows("SELECT status FROM trials WHERE sweep = 'short'") == [{"status": "done"}]
    (experiment,) = [one for one in MlflowClient(log).search_experiments() if one.name == "short"]
    (logged,) = MlflowClient(log).search_runs([experiment.experiment_id])
    assert logged.info.status == "FINISHED"

    one_trial_done = "SELECT id FROM trials WHERE sweep = 'study' AND status = 'done'"
    wait_until(
        lambda: len(shell.rows(one_trial_done)) == 1,
        "the endless sweep's short trial",
        patience_s=240,
    )
    kill_ray(shell.settings["TMPDIR"])
    assert states(shell) == {endless: "lost", short: "done"}
    assert "submit the sweep again to go on" in shell.run("status").stdout

    diverging = detach(shell, study, "--set", DIVERGING)
    followed = shell.run("status", "--follow")
    assert followed.returncode == 1, "as the job's own"
    assert "2 trials, 1 to train, 1 already done" in followed.stdout
    assert "1 failed" in followed.stdout
    assert states(shell) == {endless: "lost", short: "done", diverging: "failed"}
    wait_until(lambda: not ray_of(shell.settings["TMPDIR"]), "the last job's end ends its cluster")


@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        (["--set", "train.epoch=1"], {}, "train.epoch is not a key"),
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
    shell: Cli, study: Path, options: list[str], settings: dict[str, str], words: str
) -> None:
    asked = Cli(shell.home, {**shell.settings, **settings}).run(
        "submit", "sweep", study, "--detach", *options
    )
    assert asked.returncode == 2, asked.stdout + asked.stderr
    assert words in asked.stderr
    assert "secret" not in asked.stderr
    assert len(asked.stderr.strip().splitlines()) == 1
    assert not ray_of(shell.settings["TMPDIR"])
    shell.run("db", "upgrade")
    assert shell.rows("SELECT * FROM jobs") == []


def test_where_there_is_no_job_there_is_none_to_follow(shell: Cli) -> None:
    asked = shell.run("status", "--follow")
    assert asked.returncode == 2
    assert "There is no job to follow" in asked.stderr
