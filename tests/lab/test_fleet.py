"""Benches on the lab's machines: boards and phones together, and faults of whole machines."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.config.device_edit import add_entry
from tests import tools
from tests.harness_cli import BARE, Cli
from tests.lab.lab import Lab, find_real_tool
from tests.lab.phones import make_stubborn_phone
from tests.lab.scripted import NOTES, make_slow_tool, read_notes, use_script_tool
from tests.waiting import wait_until

PROCESSES = 6  # the protocol's


@pytest.fixture
def model(repository: Path) -> Path:
    return repository / "tests" / "data" / "models" / "float_64.tflite"


def make_bench_command(device: str, model: Path) -> list[str | Path]:
    return ["bench", "--device", device, "--protocol", BARE, model]


def count_starts(lab: Lab, name: str) -> int:
    return len(read_notes(lab, name))


def assert_measured_once(cli: Cli) -> None:
    rows = cli.rows("SELECT device, runs FROM measurements JOIN cases ON case_id = cases.id")
    assert [row["runs"] for row in rows] == [PROCESSES]
    assert cli.rows("SELECT * FROM pending_runs") == []


def test_boards_and_phones_in_one_bench(cli: Cli, repository: Path) -> None:
    models = [
        repository / "tests" / "data" / "models" / f"{name}.tflite"
        for name in ("binary_64", "float_64")
    ]
    command = (
        "bench",
        "--fleet",
        "--protocol",
        f"{BARE},processes=2,max_processes=2",
    )  # emulated Python starts slowly
    completed = cli.run(*command, *models)
    binaries_fail = find_real_tool() is None  # no interpreter on ARM has LCE's operators
    assert completed.returncode == int(binaries_fail), completed.stderr
    rows = cli.rows("SELECT device, file, device_kind FROM results")
    on_arm = 1 if binaries_fail else 2
    expected = {"arm1": on_arm, "arm2": on_arm, "x86": 2, "phone1": on_arm, "phone2": on_arm}
    assert Counter(row["device"] for row in rows) == expected
    failures = cli.rows(
        "SELECT cases.device, reason FROM failures JOIN cases ON case_id = cases.id "
        "ORDER BY cases.device"
    )
    assert [row["reason"] for row in failures] == ["missing_operator"] * (4 if binaries_fail else 0)
    facts = cli.rows("SELECT id, facts FROM devices ORDER BY id")
    assert "aarch64" in facts[0]["facts"]
    repeated = cli.run(*command, models[1])
    assert repeated.returncode == 0, repeated.stderr
    assert repeated.stdout.count("0 to measure, 1 already done") == 5


def test_check_shows_the_facts_of_each_device(cli: Cli) -> None:
    checked = cli.run("devices", "check")
    assert checked.returncode == 0, checked.stderr
    lines = {line.split()[0]: line for line in checked.stdout.splitlines()[1:]}
    assert "64-bit aarch64" in lines["arm1"]
    if find_real_tool() is None:
        assert "ai-edge-litert" in lines["arm1"]
        assert "tflite-runtime" in lines["arm2"]
    assert "larq-compute-engine" in lines["x86"]
    assert "Android 14" in lines["phone1"]
    assert "27.4" in lines["phone2"]


def test_a_board_that_loses_power_during_a_run_continues_after_it(
    cli: Cli, lab: Lab, tmp_path: Path, model: Path
) -> None:
    cli = use_script_tool(cli, lab, folder=tmp_path, body=make_slow_tool(2))
    lab.machines["x86"].run("rm", "-f", NOTES)
    running = cli.start(*make_bench_command("x86", model))
    wait_until(lambda: count_starts(lab, "x86") >= 2, "the second run has started")
    lab.machines["x86"].reboot()
    stdout, stderr = running.communicate()
    assert running.returncode == 0, stdout + stderr
    assert_measured_once(cli)
    assert count_starts(lab, "x86") == PROCESSES + 1, (
        "only the run that the reboot ended is repeated"
    )


def test_no_run_is_lost_when_a_cable_is_unplugged_for_a_while(
    cli: Cli, lab: Lab, tmp_path: Path, model: Path
) -> None:
    cli = use_script_tool(cli, lab, folder=tmp_path, body=make_slow_tool(2))
    lab.machines["x86"].run("rm", "-f", NOTES)
    running = cli.start(*make_bench_command("x86", model))
    wait_until(lambda: count_starts(lab, "x86") >= 1, "a run has started")
    lab.machines["x86"].cut()
    wait_until(
        lambda: (
            "exit"
            in lab.machines["x86"].run("sh", "-c", "ls /home/bench/.cache/bnn-harness/runs/*")
        ),
        "the run has ended",
    )
    lab.machines["x86"].restore()
    stdout, stderr = running.communicate()
    assert running.returncode == 0, stdout + stderr
    assert_measured_once(cli)
    assert count_starts(lab, "x86") == PROCESSES


@pytest.mark.parametrize(("device", "reason"), [("full", "no_space"), ("readonly", "not_writable")])
def test_a_board_that_is_not_writable_gives_a_message(
    cli: Cli, lab: Lab, tmp_path: Path, model: Path, device: str, reason: str
) -> None:
    cli = use_script_tool(cli, lab, folder=tmp_path, body=tools.NUMBERS)
    big = tmp_path / "big.tflite"
    big.write_bytes(model.read_bytes() + os.urandom(4_000_000))
    completed = cli.run(*make_bench_command(device, big if device == "full" else model))
    assert completed.returncode == 1
    (failure,) = cli.rows("SELECT reason, message FROM failures")
    assert failure["reason"] == reason, failure
    assert "set `folder`" in failure["message"]


def test_a_clock_that_is_wrong_by_years_changes_no_time(
    cli: Cli, lab: Lab, tmp_path: Path, model: Path
) -> None:
    cli = use_script_tool(cli, lab, folder=tmp_path, body=tools.NUMBERS)
    completed = cli.run(*make_bench_command("oldclock", model))
    assert completed.returncode == 0, completed.stderr
    (row,) = cli.rows(
        "SELECT measured_at, seconds FROM measurements "
        "JOIN runs ON measurement_id = measurements.id LIMIT 1"
    )
    assert row["measured_at"] > "2026"
    assert 0 <= row["seconds"] < 60


def test_no_run_is_lost_when_an_adb_server_is_killed(
    own_adb: Cli, lab: Lab, tmp_path: Path, model: Path
) -> None:
    cli = use_script_tool(own_adb, lab, folder=tmp_path, body=make_slow_tool(2))
    lab.machines["phone1"].run("rm", "-f", NOTES)
    running = cli.start(*make_bench_command("phone1", model))
    wait_until(lambda: count_starts(lab, "phone1") >= 2, "the second run has started")
    subprocess.run(["adb", "kill-server"], env=cli.environment, check=True)
    stdout, stderr = running.communicate()
    assert running.returncode == 0, stdout + stderr
    assert_measured_once(cli)
    assert count_starts(lab, "phone1") == PROCESSES


def test_a_phone_that_does_not_answer_is_set_aside_with_a_message(
    own_adb: Cli, lab: Lab, tmp_path: Path, model: Path
) -> None:
    cli = use_script_tool(own_adb, lab, folder=tmp_path, body=tools.NUMBERS, patience_s=2)
    lab.machines["phone1"].pause_adbd()
    try:
        completed = cli.run(*make_bench_command("phone1", model))
    finally:
        lab.machines["phone1"].resume_adbd()
    assert completed.returncode == 1
    (failure,) = cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("phone1", "unreachable")
    assert cli.run(*make_bench_command("phone1", model)).returncode == 0


@pytest.mark.parametrize(
    ("answers", "message"),
    [(True, "accept the key on its screen"), (False, "offline")],
    ids=["unauthorized", "offline"],
)
def test_a_phone_that_adb_cannot_use_is_set_aside_and_the_others_are_measured(
    own_adb: Cli, lab: Lab, tmp_path: Path, model: Path, *, answers: bool, message: str
) -> None:
    cli = use_script_tool(own_adb, lab, folder=tmp_path, body=tools.NUMBERS, patience_s=2)
    with make_stubborn_phone(answers=answers) as serial:
        add_entry(
            tmp_path / "devices.yaml",
            {"id": "stubborn", "kind": "adb", "serial": serial, "patience_s": 2},
        )
        completed = cli.run(*make_bench_command("stubborn", model), "--device", "phone1")
    assert completed.returncode == 1
    (failure,) = cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("stubborn", "unreachable")
    assert message in failure["message"]
    assert [row["device"] for row in cli.rows("SELECT device FROM results")] == ["phone1"]


def test_phones_are_discovered_here_and_on_the_hub(own_adb: Cli, lab: Lab, tmp_path: Path) -> None:
    registry = YAML().load(lab.devices_file.read_text())
    registry["devices"] = [entry for entry in registry["devices"] if entry["kind"] == "ssh"]
    file = tmp_path / "devices.yaml"
    with file.open("w") as text:
        text.write("# ours\n")
        YAML().dump(registry, text)
    cli = Cli(own_adb.home, {**own_adb.settings, "HARNESS_DEVICES": str(file)})
    serial = lab.make_entry(lab.machines["phone1"].kind)["serial"]
    subprocess.run(["adb", "connect", serial], env=cli.environment, check=True, capture_output=True)
    discovered = cli.run("devices", "discover", "--add")
    assert discovered.returncode == 0, discovered.stderr
    assert serial in discovered.stdout
    content = file.read_text()
    assert content.startswith("# ours")
    assert serial in content
    assert cli.run("devices", "discover").stdout.count("no\n") == 0
    hub = cli.run("devices", "discover", "--via", "hub")
    assert hub.returncode == 0, hub.stderr
