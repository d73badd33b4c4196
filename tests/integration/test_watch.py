"""`harness status --follow` shows the work that other processes do."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from harness.core.bench import PROTOCOLS
from harness.core.device import LocalDevice
from harness.store.database import close_database, open_database
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.running import RunningRows, TrialProgress
from harness.store.rows.trials import TrialRows
from tests.harness_cli import Cli, wait_for_line
from tests.store.examples import make_case, make_measurement, make_outcome, make_sweep, make_trial
from tests.store.searches import StoredSearch


@pytest.fixture
def engine(cli: Cli) -> Iterator[Engine]:
    cli.home.mkdir()
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    yield engine
    close_database(engine)


def test_each_change_is_a_line_until_nothing_is_under_way(cli: Cli, engine: Engine) -> None:
    trial = make_trial()
    trials, devices, cases = TrialRows(engine), DeviceRows(engine), CaseRows(engine)
    trials.submit(make_sweep(trial, name="both"), [])
    watch = cli.start("status", "--follow")
    line = wait_for_line(watch, "sweep both")
    assert line == "sweep both: 0 of 1 trial done, 0 cases measured.\n"

    progress = TrialProgress(trial.id, "2026-11-27T09:00:00.000Z", epoch=1, epochs=2, loss=0.25)
    RunningRows(engine).replace([progress])
    line = wait_for_line(watch, "sweep both")
    assert line == "sweep both: 0 of 1 trial done, 1 in training, 0 cases measured.\n"

    outcome = make_outcome(trial)
    case = make_case(outcome.artifacts[0].sha256, device="pi4")
    devices.mark_ready(LocalDevice(id="pi4"), {})
    trials.finish(outcome)
    devices.enqueue({"pi4": [(case.artifact, PROTOCOLS["quick"])]})
    assert "1 queued, 0 measured" in wait_for_line(watch, "device pi4")

    cases.finish("ssh", make_measurement(case))
    devices.dequeue("pi4", [(case.artifact, PROTOCOLS["quick"])])
    output, problems = watch.communicate()
    assert watch.returncode == 0, problems
    assert output.splitlines()[-3:] == [
        "sweep both: 1 of 1 trial done, 1 case measured.",
        "device pi4: ready, 0 queued, 1 measured.",
        "Nothing is under way.",
    ]


def test_the_front_of_a_search_is_a_line_once_it_has_one(cli: Cli, engine: Engine) -> None:
    search = StoredSearch(engine)
    search.submit()
    (first,), (last,) = search.begin(64), search.begin(512)
    search.look(first, "pixel6", latency_us=900.0)
    watch = cli.start("status", "--follow")
    wait_for_line(watch, "sweep search")
    search.measure(search.finish(first, accuracy=0.6), "pi4", latency_us=1000.0)
    assert wait_for_line(watch, "search search") == (
        "search search: 1 point on the front; the first is model.units=64: "
        "accuracy 60.0 %, latency on pi4 1.00 ms.\n"
    )
    search.rule_out(last, "it is too slow")
    output, problems = watch.communicate()
    assert (watch.returncode, output.splitlines()[-1]) == (0, "Nothing is under way."), problems


def test_an_idle_workspace_says_so_at_once(cli: Cli, engine: Engine) -> None:
    ended = cli.run("status", "--follow")
    assert (ended.returncode, ended.stdout) == (0, "Nothing is under way.\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--follow"], "--follow needs --sweep NAME"),
        (["--follow", "--sweep", "both", "--dry-run"], "--follow needs --sweep NAME"),
        (["--follow", "--sweep", "other"], "has not been submitted to this workspace"),
    ],
)
def test_a_training_that_is_not_there_is_not_followed(
    cli: Cli, options: list[str], message: str
) -> None:
    refused = cli.run("bench", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
