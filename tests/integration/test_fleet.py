"""Boards over a real sshd: a fault of one case, device or link affects no other."""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from harness.core.ids import sha256_of_file
from harness.devices import Turn, open_transport
from tests import tools
from tests.harness_cli import BARE, Cli, wait_for_line
from tests.simulated.cable import cable_to
from tests.sshd import Sshd, make_key
from tests.waiting import wait_until

PROCESSES = 6  # of the protocol
BIG_BYTES = 100_000_000
LOCKED_S = 30.0


@dataclass(frozen=True)
class Shelf:
    """Boards of one sshd, each with its own folder, and the command that benches them."""

    cli: Cli
    sshd: Sshd
    folder: Path
    models: list[Path]

    def register(self, *ids: str, **settings: Any) -> None:
        entries = [{**self.entry(id), **settings} for id in ids]
        with (self.folder / "devices.yaml").open("w") as file:
            YAML().dump({"devices": entries}, file)

    def entry(self, id: str) -> dict[str, Any]:
        board = self.sshd.device(id)
        connection = {
            "host": board.host,
            "port": board.port,
            "user": board.user,
            "key": board.key,
            "host_key": board.host_key,
        }
        return {
            "id": id,
            "kind": "ssh",
            **connection,
            "folder": str(self.folder / f"on {id}"),
            "tool": "tool",
            "patience_s": 30,
        }

    def add_tool(self, file: Path) -> None:
        added = self.cli.run("tools", "add", "tool", "--file", file)
        assert added.returncode == 0, added.stderr

    @property
    def command(self) -> list[str | Path]:
        return ["bench", "--fleet", "--protocol", BARE, *self.models]

    def assert_each_case_ended_once(self, cases: int) -> None:
        rows = self.cli.rows("SELECT case_id, runs FROM measurements")
        assert Counter(row["case_id"] for row in rows) == Counter(
            {row["case_id"]: 1 for row in rows}
        )
        assert [row["runs"] for row in rows] == [PROCESSES] * cases
        assert len(self.cli.rows("SELECT * FROM runs")) == cases * PROCESSES
        assert self.cli.rows("SELECT * FROM pending_runs") == []
        assert self.cli.rows("SELECT * FROM queue") == []


@pytest.fixture
def shelf(tmp_path: Path, sshd: Sshd, repository: Path) -> Shelf:
    models = [
        repository / "tests" / "data" / "models" / f"{name}.tflite"
        for name in ("binary_64", "float_64")
    ]
    cli = Cli(tmp_path / "workspace", {"HARNESS_DEVICES": str(tmp_path / "devices.yaml")})
    return Shelf(cli, sshd, folder=tmp_path, models=models)


def wait_for_starts(notes: Path, starts: int) -> None:
    wait_until(lambda: tools.count_lines(notes / "starts") >= starts, f"run {starts} has started")


def make_other_harness(shelf: Shelf) -> Cli:
    """Return the command of another person, with their own database."""
    return Cli(shelf.folder / "other", shelf.cli.settings)


@pytest.mark.full
def test_all_boards_are_measured_at_once_and_only_once(shelf: Shelf) -> None:
    shelf.register("one", "two; it's", "three")
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(6)
    facts = shelf.cli.rows(
        "SELECT DISTINCT artifact_run = artifact AS same"
        " FROM measurements JOIN cases ON case_id = cases.id"
    )
    assert [bool(row["same"]) for row in facts] == [True]
    again = shelf.cli.run(*shelf.command)
    assert again.stdout.count("0 to measure, 2 already done") == 3
    shelf.assert_each_case_ended_once(6)


@pytest.mark.full
@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        ("sleep 1000", "timeout", "still running"),
        ("kill -SEGV $$", "crashed", "SIGSEGV"),
        ("kill -KILL $$", "killed", "memory"),
        ("kill -TERM $$", "killed", "not the model"),
        ("echo what a day", "unparsable", "another program"),
        ("head -c 1000 /dev/urandom", "unparsable", ""),
        (":", "unparsable", ""),
        ("yes | head -c 100000000", "crashed", ""),
        (
            "echo 'ERROR: Encountered unresolved custom op: LceQuantize' >&2; exit 1",
            "missing_operator",
            "lce_benchmark_model",
        ),
    ],
    ids=[
        "hangs",
        "crashes",
        "is_killed",
        "is_terminated",
        "garbage",
        "binary_garbage",
        "nothing",
        "100_MB",
        "operator",
    ],
)
def test_a_broken_tool_fails_its_case_with_a_reason_and_a_log(
    shelf: Shelf, body: str, reason: str, message: str
) -> None:
    shelf.register("board", timeout_s=2)
    shelf.add_tool(tools.write_script(shelf.folder / "tool", body))
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    failures = shelf.cli.rows("SELECT reason, message FROM failures")
    assert [row["reason"] for row in failures] == [reason] * 2, "each case fails by itself"
    assert message in failures[0]["message"]
    assert "Traceback" not in ended.stdout + ended.stderr
    failed_files = shelf.cli.run("query", "failures", "--format", "csv").stdout
    for model in shelf.models:
        assert f"{model} (" in ended.stdout
        assert model.name in failed_files


@pytest.mark.full
def test_nothing_is_pushed_to_a_board_that_reports_another_abi(shelf: Shelf) -> None:
    shelf.register("board", abi="aarch64")
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    assert shelf.cli.run(*shelf.command).returncode == 1
    (failure,) = shelf.cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("board", "wrong_abi")
    assert "abi: x86_64" in failure["message"]
    assert not (shelf.folder / "on board" / "objects").exists()


@pytest.mark.full
def test_a_tool_for_another_chip_is_not_pushed(shelf: Shelf) -> None:
    shelf.register("board")
    (shelf.folder / "tool").write_bytes(tools.make_elf(tools.AARCH64, None))
    shelf.add_tool(shelf.folder / "tool")
    assert shelf.cli.run(*shelf.command).returncode == 1
    (failure,) = shelf.cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("board", "wrong_abi")
    assert "runs x86_64 programs" in failure["message"]
    assert not (shelf.folder / "on board" / "objects").exists()


@pytest.mark.full
def test_an_artifact_that_changes_on_the_board_is_never_measured(shelf: Shelf) -> None:
    """The tool corrupts its model in each run; the next run notices it, and sends it again."""
    spoil = (
        'for arg in "$@"; do case $arg in --graph=*) echo spoilt >>"${arg#--graph=}" ;; esac; done'
    )
    shelf.register("board")
    shelf.add_tool(tools.write_script(shelf.folder / "tool", f"{tools.NUMBERS}\n{spoil}"))
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(2)
    rows = shelf.cli.rows(
        "SELECT artifact_run = artifact AS same FROM measurements JOIN cases ON case_id = cases.id"
    )
    assert all(row["same"] for row in rows)


@pytest.mark.full
def test_a_board_in_use_for_too_long_is_set_aside_and_its_user_named(shelf: Shelf) -> None:
    shelf.register("board")
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    transport = open_transport(
        replace(shelf.sshd.device("board"), folder=str(shelf.folder / "on board")),
        {},
        local_folder=shelf.folder,
    )
    turn = Turn("another-token", "ada@lovelace (process 1)", seconds=600)
    assert transport.take_turn(turn) is None
    ended = shelf.cli.run(*shelf.command, "--wait", "1")
    assert ended.returncode == 1
    (failure,) = shelf.cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("board", "device_busy")
    assert "ada@lovelace" in failure["message"]
    status = shelf.cli.run("status").stdout
    assert "2 cases in the queue" in status
    assert "ada@lovelace" in status
    transport.release_turn(turn)
    transport.close()
    assert shelf.cli.run(*shelf.command).returncode == 0
    shelf.assert_each_case_ended_once(2)


@pytest.mark.full
def test_a_cut_connection_is_resumed_without_repeating_the_run(shelf: Shelf) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    shelf.add_tool(tools.write_slow_tool(shelf.folder / "tool", notes, seconds=2))
    bench = shelf.cli.start(*shelf.command)
    for starts in (1, 3):
        wait_for_starts(notes, starts)
        shelf.sshd.cut()
    printed, errors = bench.communicate()
    assert bench.returncode == 0, printed + errors
    assert "trying again" in printed
    shelf.assert_each_case_ended_once(2)
    assert tools.count_lines(notes / "starts") == 2 * PROCESSES
    assert tools.count_lines(notes / "overlaps") == 0


@pytest.mark.full
def test_a_shell_that_is_killed_on_the_board_costs_no_run(shelf: Shelf) -> None:
    """Each run kills the shell that waits for the tool, over SSH and on this machine."""
    notes = shelf.folder / "notes"
    shelf.register("board")
    entries = YAML().load((shelf.folder / "devices.yaml").read_text())
    entries["devices"].append({"id": "here", "kind": "local", "tool": "tool", "patience_s": 30})
    with (shelf.folder / "devices.yaml").open("w") as file:
        YAML().dump(entries, file)
    kill = "read -r _ _ _ waiting _ </proc/$PPID/stat; kill -9 $waiting; sleep 0.2"
    shelf.add_tool(
        tools.write_script(
            shelf.folder / "tool", f"echo started >>{notes}\n{kill}\n{tools.NUMBERS}"
        )
    )
    ended = shelf.cli.run(*shelf.command[:-1])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(2)
    assert tools.count_lines(notes) == 2 * PROCESSES


@pytest.mark.full
def test_a_bench_killed_at_any_point_resumes(shelf: Shelf) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    shelf.add_tool(tools.write_slow_tool(shelf.folder / "tool", notes, seconds=0.3))
    for starts in (1, 4, 8):
        bench = shelf.cli.start(*shelf.command)
        wait_for_starts(notes, starts)
        bench.send_signal(signal.SIGKILL)
        bench.communicate()
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(2)
    assert tools.count_lines(notes / "starts") <= 2 * PROCESSES + 3, "a kill costs at most one run"


def make_big_model(shelf: Shelf) -> Path:
    """Return a model that takes a moment to send, as its weights can't be compressed."""
    file = shelf.folder / "big.tflite"
    file.write_bytes(shelf.models[0].read_bytes() + os.urandom(BIG_BYTES))
    return file


def assert_pushed_whole(shelf: Shelf, model: Path) -> None:
    folder = shelf.folder / "on board" / "objects"
    sha256 = sha256_of_file(model)
    assert sha256_of_file(folder / sha256 / f"{sha256}.tflite") == sha256
    assert list(folder.rglob(".part*")) == []


@pytest.mark.full
def test_a_push_that_is_cut_in_the_middle_is_resumed(shelf: Shelf) -> None:
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    model = make_big_model(shelf)
    with cable_to(shelf.sshd.port) as cable:
        shelf.register("board", port=cable.port)
        cable.cut_after(bytes_to_device=BIG_BYTES // 2)
        ended = shelf.cli.run("bench", "--fleet", "--protocol", BARE, model)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "trying again" in ended.stdout
        assert BIG_BYTES * 1.4 < cable.bytes_to_device < BIG_BYTES * 1.6
    shelf.assert_each_case_ended_once(1)
    assert_pushed_whole(shelf, model)


@pytest.mark.full
def test_a_bench_killed_during_a_push_resumes(shelf: Shelf) -> None:
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    model = make_big_model(shelf)
    command: list[str | Path] = ["bench", "--fleet", "--protocol", BARE, model]
    with cable_to(shelf.sshd.port) as cable:
        shelf.register("board", port=cable.port)
        bench = shelf.cli.start(*command)
        wait_until(lambda: cable.bytes_to_device > BIG_BYTES // 10, "the push is on its way")
        cable.freeze = True
        assert cable.bytes_to_device < BIG_BYTES
        bench.send_signal(signal.SIGKILL)
        bench.communicate()
        cable.freeze = False
        ended = shelf.cli.run(*command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(1)
    assert_pushed_whole(shelf, model)


@pytest.mark.full
@pytest.mark.parametrize("run", [1, PROCESSES], ids=["of_a_run", "of_a_measurement"])
def test_a_bench_killed_while_it_stores_results_resumes(shelf: Shelf, run: int) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    shelf.add_tool(tools.write_slow_tool(shelf.folder / "tool", notes, seconds=0.5))
    bench = shelf.cli.start(*shelf.command)
    wait_for_starts(notes, run)
    with lock_database(shelf):
        wait_for_starts(notes, run + 2)  # the output of the earlier run waits to be stored
        bench.send_signal(signal.SIGKILL)
        bench.communicate()
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shelf.assert_each_case_ended_once(2)


@contextmanager
def lock_database(shelf: Shelf) -> Iterator[None]:
    """Lock the database as another process that writes does."""
    with closing(
        sqlite3.connect(shelf.cli.home / "harness.db", timeout=60, isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_ctrl_c_leaves_nothing_running_and_the_device_free(shelf: Shelf) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    shelf.add_tool(tools.write_slow_tool(shelf.folder / "tool", notes, seconds=1000))
    bench = shelf.cli.start(*shelf.command)
    wait_until(lambda: tools.count_lines(notes / "starts") == 1, "a run has started")
    bench.send_signal(signal.SIGINT)
    _, errors = bench.communicate()
    assert bench.returncode == 130
    assert "Traceback" not in errors
    queue = (shelf.folder / "on board" / "queue").read_text()
    assert len(queue.splitlines()) == 1, "only the boot's id is left in it"
    assert list((shelf.folder / "on board" / "runs").iterdir()) == []
    assert shelf.cli.rows("SELECT * FROM leases") == []


@pytest.mark.full
@pytest.mark.parametrize("same_database", [True, False])
def test_two_harnesses_take_turns_on_a_board(shelf: Shelf, *, same_database: bool) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    harnesses = [shelf.cli, shelf.cli if same_database else make_other_harness(shelf)]
    for harness in harnesses:
        added = harness.run(
            "tools",
            "add",
            "tool",
            "--file",
            tools.write_slow_tool(shelf.folder / "tool", notes, seconds=0.2),
        )
        assert added.returncode == 0
    benches = [
        harness.start(*shelf.command, *(["--force"] if same_database else []))
        for harness in harnesses
    ]
    outputs = [bench.communicate() for bench in benches]
    assert [bench.returncode for bench in benches] == [0, 0], outputs
    assert any("in use by" in out for out, _ in outputs), (
        "the waiting harness reports who uses the board"
    )
    assert tools.count_lines(notes / "starts") == 2 * 2 * PROCESSES
    assert tools.count_lines(notes / "overlaps") == 0


@pytest.mark.full
def test_a_database_that_is_locked_for_half_a_minute_only_makes_the_bench_wait(
    shelf: Shelf,
) -> None:
    notes = shelf.folder / "notes"
    shelf.register("board")
    shelf.add_tool(
        tools.write_slow_tool(shelf.folder / "tool", notes, seconds=LOCKED_S / 2 / PROCESSES)
    )
    bench = shelf.cli.start(*shelf.command)
    wait_for_line(bench, "to measure")
    with lock_database(shelf):
        began = time.monotonic()
        wait_for_starts(notes, 2 * PROCESSES)
        wait_until(
            lambda: time.monotonic() - began > LOCKED_S, "the database was locked for long enough"
        )
    printed, errors = bench.communicate()
    assert bench.returncode == 0, printed + errors
    shelf.assert_each_case_ended_once(2)
    assert tools.count_lines(notes / "starts") == 2 * PROCESSES


@pytest.mark.full
def test_unparsable_output_is_stored_to_be_parsed_again(shelf: Shelf) -> None:
    shelf.register("board")
    shelf.add_tool(tools.write_script(shelf.folder / "tool", "echo what a day"))
    assert shelf.cli.run(*shelf.command).returncode == 1
    again = shelf.cli.run("bench", "--reparse")
    assert again.returncode == 0, again.stderr
    assert (
        "0 measurements changed, 0 withdrawn, 0 completed from stored logs; 2 cases to continue"
        in again.stdout
    )
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    assert shelf.cli.run(*shelf.command).returncode == 0
    assert (
        "12 runs parsed again: 0 measurements changed" in shelf.cli.run("bench", "--reparse").stdout
    )
    refused = shelf.cli.run("bench", "--reparse", "--fleet")
    assert refused.returncode == 2
    assert "give it no models, sweep, devices or inputs" in refused.stderr


@pytest.mark.full
def test_a_wrong_host_key_and_a_wrong_user_do_not_affect_another_board(
    shelf: Shelf,
) -> None:
    make_key(shelf.folder / "other_key")
    strange = " ".join((shelf.folder / "other_key.pub").read_text().split()[:2])
    entries = [
        {**shelf.entry("impostor"), "host_key": strange},
        {**shelf.entry("stranger"), "user": "nobody-here"},
        shelf.entry("good"),
    ]
    with (shelf.folder / "devices.yaml").open("w") as file:
        YAML().dump({"devices": entries}, file)
    shelf.add_tool(tools.write_script(shelf.folder / "tool"))
    ended = shelf.cli.run(*shelf.command)
    assert ended.returncode == 1
    failures = shelf.cli.rows("SELECT device, reason, message FROM failures ORDER BY device")
    assert [(row["device"], row["reason"]) for row in failures] == [
        ("impostor", "unreachable"),
        ("stranger", "unreachable"),
    ]
    assert "devices trust impostor" in failures[0]["message"]
    assert "check `user`, `key`" in failures[1]["message"]
    assert len(shelf.cli.rows("SELECT * FROM queue")) == 4, (
        "the cases of both wait for a later bench"
    )
    assert shelf.cli.rows("SELECT DISTINCT device FROM results") == [{"device": "good"}]
    status = shelf.cli.run("status").stdout
    assert "impostor" in status

    shelf.register("impostor", "stranger", "good")
    assert shelf.cli.run(*shelf.command).returncode == 0
    shelf.assert_each_case_ended_once(6)


@pytest.mark.full
def test_a_board_that_does_not_come_back_is_set_aside(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    flaky = Sshd.start(folder)
    shelf.register("steady", "flaky", patience_s=3)
    registry = YAML().load((shelf.folder / "devices.yaml").read_text())
    registry["devices"][1] |= {
        "port": flaky.port,
        "host_key": flaky.host_key,
        "key": str(flaky.key),
    }
    with (shelf.folder / "devices.yaml").open("w") as file:
        YAML().dump(registry, file)
    notes = shelf.folder / "notes"
    shelf.add_tool(tools.write_slow_tool(shelf.folder / "tool", notes, seconds=0.2))
    bench = shelf.cli.start(*shelf.command)
    wait_for_starts(notes, 3)
    flaky.stop()
    printed, errors = bench.communicate()
    assert bench.returncode == 1, printed + errors
    assert "set aside (unreachable)" in errors
    assert len(shelf.cli.rows("SELECT * FROM results WHERE device = 'steady'")) == 2
    assert len(shelf.cli.rows("SELECT * FROM queue WHERE device = 'flaky'")) > 0


@pytest.mark.full
def test_the_values_of_an_input_reach_the_board_as_they_are(shelf: Shelf) -> None:
    shelf.register("one: two")
    notes = shelf.folder / "notes"
    body = f"""\
for flag; do
    case $flag in
        --input_layer_value_files=*) file=$(echo "${{flag#*:}}" | sed 's/::/:/g') ;;
    esac
done
cat "$file" >>{notes}
{tools.NUMBERS}"""
    shelf.add_tool(tools.write_script(shelf.folder / "tool", body))
    values = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    np.save(shelf.folder / "image.npy", values)
    model = shelf.models[0]
    bench = ("bench", "--fleet", "--protocol", BARE, model)
    ended = shelf.cli.run(*bench, "--input-file", f"image:{shelf.folder / 'image.npy'}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert notes.read_bytes() == PROCESSES * values.tobytes()
    shelf.assert_each_case_ended_once(1)
