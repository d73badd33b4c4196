"""A search over a board and a phone of which one is pulled while it runs."""

import subprocess
from collections import Counter
from pathlib import Path

from tests.harness_cli import Cli
from tests.lab.lab import Lab
from tests.lab.scripted import NOTES, read_notes, use_script_tool
from tests.waiting import wait_until

BOARD, PHONE = "x86", "phone1"
HOLD = "/tmp/hold"
# A network takes a microsecond for each of its bytes. While there is a file HOLD, the tool measures
# the first network that it is given, and gets stuck in the second one.
TOOL = f"""
for argument; do case $argument in --graph=*) graph=${{argument#--graph=}};; esac; done
echo "$graph" >>{NOTES}
while [ -e {HOLD} ] && [ "$(sort -u {NOTES} | wc -l)" -gt 1 ]; do sleep 1; done
us=$(($(wc -c <"$graph")))
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=1"
"""
POINTS = 3
SEARCH = f"""
name: pulled
dataset: digits
model: {{name: mlp, layers: 1}}
precision: [float32]
train: {{epochs: 1, validation: 0.2}}
search:
  method: optuna
  trials: {POINTS}
  max_waiting: 1
  objectives: [accuracy, {{metric: latency, on: lab}}]
  constraints: [{{metric: latency, on: lab, at_most: 50 ms}}]
  space: {{model.units: [8, 16, 512]}}
bench:
  protocol:
    {{base: quick, target: 0, gates: off, canary: off, answers: off, max_processes: 6}}
"""


def test_a_search_goes_on_without_a_phone_and_hears_it_when_it_is_back(
    own_adb: Cli, lab: Lab, tmp_path: Path, cluster: str
) -> None:
    cli = use_script_tool(
        own_adb, lab, folder=tmp_path, body=TOOL, devices=(BOARD, PHONE), patience_s=5
    )
    sweep = tmp_path / "pulled.yaml"
    sweep.write_text(SEARCH)
    for name in (BOARD, PHONE):
        lab.machines[name].run("rm", "-f", NOTES, HOLD)
    lab.machines[PHONE].run("touch", HOLD)
    submit = ("submit", "sweep", sweep, "--bench", "--fleet", "--address", cluster)

    running = cli.start(*submit)
    wait_until(
        lambda: running.poll() is not None or len(set(read_notes(lab, PHONE))) > 1,
        "the phone measures its second network",
        patience_s=120,
    )
    lab.machines[PHONE].stop()
    try:
        stdout, stderr = running.communicate()
    finally:
        lab.machines[PHONE].reboot()
    assert running.returncode == 1, stdout + stderr
    assert f"{PHONE}: set aside (unreachable), its cases left for a later bench" in stdout
    states = count_states(cli)
    assert states["infeasible"] == 1, "the board alone knows that 512 units are too slow"
    assert states["open"] >= POINTS - 2, states
    trained = read_trained(cli)
    assert len(trained) == POINTS - 1, "points are trained although the phone is away"

    lab.machines[PHONE].run("rm", HOLD)
    await_phone(cli, lab)
    again = cli.run(*submit)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"0 points of its search to try, {POINTS} already tried" in again.stdout
    assert count_states(cli) == {"done": POINTS - 1, "infeasible": 1}
    assert read_trained(cli) == trained, "nothing is trained twice"
    assert all(count == 1 for count in count_repeated_cases(cli).values()), "the reference"


def await_phone(cli: Cli, lab: Lab) -> None:
    """Wait until adb has connected to the phone again."""
    serial = lab.make_entry(lab.machines[PHONE].kind)["serial"]
    command = ["adb", "-s", serial, "get-state"]

    def is_ready() -> bool:
        state = subprocess.run(command, env=cli.environment, capture_output=True, check=False)
        return state.stdout.strip() == b"device"

    wait_until(is_ready, "adb has connected to the phone again")


def count_states(cli: Cli) -> Counter[str]:
    """Return the number of points in each state, as `harness query search` tells it."""
    rows = cli.query("search")
    return Counter({row["number"]: row["state"] for row in rows}.values())


def read_trained(cli: Cli) -> dict[str, str]:
    """Return when each trained trial ended."""
    rows = cli.rows("SELECT id, finished_at FROM trials WHERE status = 'done'")
    return {row["id"]: row["finished_at"] for row in rows}


def count_repeated_cases(cli: Cli) -> Counter[str]:
    """Return how many cases of each device were measured more than once."""
    rows = cli.rows(
        "SELECT device FROM cases JOIN measurements ON case_id = cases.id "
        "GROUP BY cases.id HAVING count(*) > 1"
    )
    return Counter(row["device"] for row in rows)
