"""Trials on a real Ray: workers that die, memory that ends, another cluster."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from harness.core.errors import Reason, RequestError
from harness.core.sweep import Precision, Recipe, Resources, Trial
from harness.training.cluster import train
from harness.training.events import Event, Failed, Finished, Started
from tests.harness_cli import Cli


def trial(units: int, epochs: int = 2) -> Trial:
    return Trial("mlp", {"units": units}, {"units": units}, Precision.FLOAT32, "digits", Recipe(epochs=epochs), 0)


def ends(events: list[Event]) -> dict[str, str]:
    """How each trial ended: `done`, or the reason of its failure."""
    return {
        event.trial.id: "done" if isinstance(event, Finished) else str(event.failure.reason)
        for event in events
        if isinstance(event, Finished | Failed)
    }


def test_workers_are_reused_and_a_killed_one_fails_its_trial_alone() -> None:
    trials = [trial(units) for units in (8, 16, 24, 32)]
    events: list[Event] = []
    victim = None
    for event in train(trials, Resources(cpu=2)):
        events.append(event)
        if isinstance(event, Started) and event.trial == trials[2]:
            victim = event.pid
            os.kill(event.pid, signal.SIGKILL)

    assert ends(events) == {
        trials[0].id: "done",
        trials[1].id: "done",
        trials[2].id: str(Reason.KILLED),
        trials[3].id: "done",
    }
    started = [event for event in events if isinstance(event, Started)]
    assert started[0].pid == started[1].pid == victim
    finished = [event.outcome.timings for event in events if isinstance(event, Finished)]
    assert finished[0].import_s > 0, "the first trial of a worker pays for the imports"
    assert finished[1].import_s == 0, "the next one does not"
    assert finished[2].import_s > 0, "a new worker does"
    told = next(event.failure for event in events if isinstance(event, Failed))
    assert "died" in told.log


def test_a_worker_that_ray_ends_for_memory_says_so(tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + 1.2e9) / memory.total
    sweep = tmp_path / "hungry.yaml"
    sweep.write_text(
        "name: hungry\ndataset: digits\nmodel: {name: mlp, units: 12000}\nprecision: [float32]\ntrain: {epochs: 2}\nresources: {cpu: 2}\n"
    )
    cli = Cli(tmp_path / "workspace", {"RAY_memory_usage_threshold": f"{limit:.4f}"})
    ended = cli.run("submit", "sweep", sweep)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert cli.rows("SELECT status, reason FROM trials") == [{"status": "failed", "reason": "out_of_memory"}]


# Ray asks for a token by default; whoever joins a cluster has to bring its token, and to say so.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "for-this-test-" + 18 * "0"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a Ray cluster of its own, that runs until the test ends."""
    log = tmp_path / "ray.log"
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--port=0", "--num-cpus=2"]
    # pytest's own folder has too long a name for Ray's sockets in it
    with log.open("w") as output, TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        process = psutil.Popen(
            [*command, "--include-dashboard=false", f"--temp-dir={folder}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **TOKEN},
        )
        try:
            yield _address(process, log)
        finally:
            family = [*process.children(recursive=True), process]
            for one in family:
                one.kill()
            psutil.wait_procs(family, timeout=60)


def _address(process: psutil.Popen, log: Path) -> str:
    pause = threading.Event()
    while process.poll() is None:
        if found := re.search(r"--address='([\d.]+:\d+)'", log.read_text()):
            return found[1]
        pause.wait(0.2)
    raise AssertionError(log.read_text())


def test_a_running_cluster_is_joined_and_left_running(cluster: str, cli: Cli, repository: Path) -> None:
    joined = Cli(cli.home, TOKEN)
    sweep = repository / "jobs" / "quickstart.yaml"
    for count in (1, 2):  # the second time it is still there
        changes = ("--set", f"model.units={8 * count}", "--set", "train.epochs=1", "--set", "precision=[binary]")
        ended = joined.run("submit", "sweep", sweep, *changes, "--address", cluster)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert len(joined.rows("SELECT * FROM trials WHERE status = 'done'")) == count


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:many"])
def test_an_address_where_nobody_answers_is_one_sentence(address: str) -> None:
    with pytest.raises(RequestError, match=f"--address {address}: nobody answers there"):
        list(train([trial(8)], Resources(), address))
