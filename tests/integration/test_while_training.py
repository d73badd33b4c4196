"""Artifacts are measured while other trials are still being trained, and some even before."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import tools
from tests.harness_cli import Cli
from tests.sshd import Sshd

SWEEP = """
name: both
dataset: digits
model: {name: mlp, layers: 1, units: 8}
precision: [binary, float32]
points: [{model.units: 8}, {model.units: 16, train.epochs: 300}]
train: {epochs: 1}
resources: {cpu: 2}
bench:
  protocol:
    {name: bare, processes: 6, max_processes: 6, target: 0, gates: null, canary: false,
     answers: false}
"""
PROCESSES = 6
# The latency of a network is 1 µs for each byte of its file.
SIZED = """
for argument; do case $argument in --graph=*) us=$(wc -c <"${argument#--graph=}");; esac; done
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=1"
"""
LIMITED = """
grid: {model.units: [8, 512]}
search: {constraints: [{metric: latency, on: far, at_most: 10 ms}]}
"""


@pytest.fixture
def fleet(cli: Cli, sshd: Sshd, tmp_path: Path) -> Cli:
    """Return the command with a registry of two boards that are one sshd on this machine.

    The way to `far` leads through a jump host, so that nothing tells that it is here.
    """

    def board(id: str, **settings: Any) -> dict[str, Any]:
        device = sshd.device()
        login = {"user": device.user, "key": device.key, "host_key": device.host_key}
        folder = str(tmp_path / f"on {id}")
        address = {"id": id, "kind": "ssh", "host": device.host, "port": device.port}
        return {**address, **login, "folder": folder, "tool": "tool", **settings}

    boards = [board("gate", enabled=False), board("far", jump="gate"), board("near")]
    file = tmp_path / "devices.yaml"
    file.write_text(json.dumps({"devices": boards}))
    fleet = Cli(cli.home, {"HARNESS_DEVICES": str(file)})
    script = tools.write_script(tmp_path / "tool", SIZED)
    added = fleet.run("tools", "add", "tool", "--file", script)
    assert added.returncode == 0, added.stderr
    return fleet


@pytest.mark.full
def test_a_board_measures_a_trial_while_the_next_one_trains(
    fleet: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "both.yaml"
    sweep.write_text(SWEEP)
    ended = fleet.run("submit", "sweep", sweep, "--bench", "--fleet", "--address", cluster)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "near: trains, too, so it is measured when training is over." in ended.stdout
    assert "far: trains" not in ended.stdout

    starts = {
        (row["device"], row["artifact"]): row["started"]
        for row in fleet.rows(
            "SELECT c.device, c.artifact, min(r.started_at) AS started FROM runs AS r "
            "JOIN measurements AS m ON m.id = r.measurement_id JOIN cases AS c ON c.id = m.case_id "
            "GROUP BY c.device, c.artifact"
        )
    }
    trained = "SELECT max(finished_at) AS ended FROM trials"
    (last,) = (row["ended"] for row in fleet.rows(trained))
    on_far = sorted(start for (device, _), start in starts.items() if device == "far")
    on_near = sorted(start for (device, _), start in starts.items() if device == "near")
    assert len(on_far) == len(on_near) == 4
    assert on_far[1] < last, "the first twins are measured while the others train"
    assert on_near[0] > last

    for row in fleet.rows("SELECT device, artifact, runs FROM results"):
        assert row["runs"] == PROCESSES, row
    assert fleet.rows("SELECT * FROM queue") == []
    assert fleet.rows("SELECT * FROM pending_runs") == []
    again = fleet.run("submit", "sweep", sweep, "--bench", "--fleet")
    assert "0 to train, 4 already done" in again.stdout
    assert "0 to measure, 4 already done" in again.stdout


@pytest.mark.full
def test_what_is_too_slow_on_a_board_is_not_trained_until_the_limit_is_raised(
    fleet: Cli, cluster: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "limited.yaml"
    lines = [line for line in SWEEP.splitlines() if not line.startswith("points:")]
    sweep.write_text("\n".join(lines) + LIMITED)
    looked = fleet.run("submit", "sweep", sweep, "--dry-run", "--measure")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "1 of 2 points keep the constraints." in looked.stdout
    assert fleet.rows("SELECT * FROM trials") == []
    planned = fleet.run("submit", "sweep", sweep, "--dry-run")
    assert "far: 4 cases" in planned.stdout, planned.stdout + planned.stderr
    assert "near" not in planned.stdout
    submit = ("submit", "sweep", sweep, "--bench", "--address", cluster)
    ended = fleet.run(*submit)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 trials done" in ended.stdout
    trials = fleet.rows("SELECT parameters, status, message FROM trials")
    assert sorted(row["status"] for row in trials) == ["done", "done", "infeasible", "infeasible"]
    for row in trials:
        if row["status"] == "infeasible":
            assert "512" in row["parameters"]
            assert " on far: latency " in row["message"]
            assert row["message"].endswith("the limit is 10.0 ms.")
    again = fleet.run(*submit)
    assert "0 points of its search to try, 2 already tried" in again.stdout
    assert "0 trials done" in again.stdout
    raised = "search.constraints=[{metric: latency, on: far, at_most: 100 s}]"
    ended = fleet.run(*submit, "--set", raised)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 trials done" in ended.stdout
    measured = fleet.rows("SELECT case_id FROM measurements WHERE valid")
    assert len({row["case_id"] for row in measured}) == 8, "4 untrained networks, 4 trained ones"
    listed = fleet.run("query", "search", "both", "--format", "json")
    states = [json.loads(line)["state"] for line in listed.stdout.splitlines()]
    assert set(states) == {"done"}, listed.stdout + listed.stderr
