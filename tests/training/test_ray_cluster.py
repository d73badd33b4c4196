"""Trials on a real Ray: dying workers, too little memory, a missing cluster."""

import logging
import os
import signal
from pathlib import Path

import psutil
import pytest
import ray

from harness import data
from harness.core.errors import HarnessError, Reason, RequestError
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Resources, Trial
from harness.training.events import Event, Failed, Finished, Started
from harness.training.ray_cluster import train
from harness.training.search import FixedUnits
from harness.training.unit import group_trials
from tests.harness_cli import Cli


def trial(units: int, epochs: int = 2) -> Trial:
    return Trial(
        "mlp",
        {"units": units},
        chosen={"units": units},
        precision=Precision.FLOAT32,
        dataset="digits",
        recipe=Recipe(epochs=epochs),
        seed=0,
    )


def as_units(trials: list[Trial]) -> FixedUnits:
    return FixedUnits(group_trials(trials, {}))


def ends(events: list[Event]) -> dict[str, str]:
    """Return `done` or the reason of its failure for each trial."""
    return {
        event.trial.id: "done" if isinstance(event, Finished) else str(event.failure.reason)
        for event in events
        if isinstance(event, Finished | Failed)
    }


@pytest.mark.full
def test_workers_are_reused_and_a_killed_one_fails_only_its_trial(cluster: str) -> None:
    trials = [trial(units) for units in (8, 16, 24, 32)]
    events: list[Event] = []
    victim = None
    for event in train(
        as_units(trials),
        {"digits": data.load("digits")},
        resources=Resources(cpu=2),
        address=cluster,
    ):
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
    failure = next(event.failure for event in events if isinstance(event, Failed))
    assert "died" in failure.log


@pytest.mark.full
def test_a_worker_that_ray_kills_for_lack_of_memory_fails_for_that_reason(tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + 1.2e9) / memory.total
    sweep = tmp_path / "hungry.yaml"
    sweep.write_text(
        "name: hungry\ndataset: digits\nmodel: {name: mlp, units: 12000}\n"
        "precision: [float32]\ntrain: {epochs: 2}\nresources: {cpu: 2}\n"
    )
    cli = Cli(tmp_path / "workspace", {"RAY_memory_usage_threshold": f"{limit:.4f}"})
    ended = cli.run("submit", "sweep", sweep)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert cli.rows("SELECT status, reason FROM trials") == [
        {"status": "failed", "reason": "out_of_memory"}
    ]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:many"])
def test_an_address_without_a_cluster_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(RequestError, match=f"--address {address}: no Ray cluster answers there"):
        list(train(as_units([trial(8)]), {}, resources=Resources(), address=address))


def test_a_ray_that_does_not_start_is_reported_and_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def time_out(**_: object) -> None:
        ray._private.utils.set_sigterm_handler(lambda *_: None)  # as Ray does while it starts
        raise Exception("The current node timed out during startup. This could happen")  # noqa: TRY002

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", time_out)
    with pytest.raises(HarnessError, match=r"^Cannot start Ray on this machine: The current node"):
        list(train(as_units([trial(8)]), {}, resources=Resources()))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert logging.root.manager.disable == logging.NOTSET
