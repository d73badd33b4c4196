"""The protocol on this machine, with a /sys of plain files and tools that are small scripts."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.bench.schedule import order_block
from tests import tools
from tests.harness_cli import Cli
from tests.sysfs import Sysfs
from tests.waiting import wait_until

# A busy machine does not delay the tests.
STEADY = "gates.max_busy=1,gates.max_wait_s=0"
QUICK = f"quick,{STEADY}"
MIN_RUNS, MAX_RUNS = 6, 12
# A tool that reports 100 µs, or the latency in the line of `latencies` for this process.
TOOL_SCRIPT = """
echo "$@" >>{notes}/starts
number=$(wc -l <{notes}/starts)
listed=$(sed -n "${{number}}p" {notes}/latencies 2>/dev/null)
us=${{listed:-100}}
{body}
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=0"
"""


@dataclass(frozen=True)
class Bench:
    """A board with four cores, its tool, and two models."""

    cli: Cli
    sysfs: Sysfs
    folder: Path
    models: list[Path]

    def register(self, **settings: Any) -> None:
        entry = {"id": "board", "kind": "local", "tool": "tool", **settings}
        with (self.folder / "devices.yaml").open("w") as file:
            YAML().dump({"devices": [entry]}, file)

    def add_tool(self, body: str = ":", latencies_us: list[float] | None = None) -> None:
        lines = [f"{latency}\n" for latency in latencies_us or []]
        (self.folder / "latencies").write_text("".join(lines))
        script = tools.write_script(
            self.folder / "tool", TOOL_SCRIPT.format(notes=self.folder, body=body)
        )
        added = self.cli.run("tools", "add", "tool", "--file", script)
        assert added.returncode == 0, added.stderr

    def bench(
        self, protocol: str, *options: str | Path, models: int = 1
    ) -> "subprocess.CompletedProcess[str]":
        return self.cli.run(*self.command(protocol, *options, models=models))

    def command(self, protocol: str, *options: str | Path, models: int = 1) -> list[str | Path]:
        devices = ("--devices", self.folder / "devices.yaml", "--device", "board")
        return ["bench", *devices, "--protocol", protocol, *options, *self.models[:models]]

    def starts(self) -> list[str]:
        return (self.folder / "starts").read_text().splitlines()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.cli.rows(sql)


@pytest.fixture
def board(cli: Cli, repository: Path, tmp_path: Path) -> Bench:
    sysfs = Sysfs.make(tmp_path / "sys")
    cli.settings["HARNESS_SYSFS"] = str(sysfs.root)
    models = [
        repository / "tests" / "data" / "models" / f"{name}.tflite"
        for name in ("binary_64", "float_64")
    ]
    bench = Bench(cli, sysfs, folder=tmp_path, models=models)
    bench.register()
    return bench


def expect_success(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_each_case_is_measured_once_in_each_shuffled_block(board: Bench) -> None:
    board.add_tool()
    expect_success(
        board.bench(f"{QUICK},canary=off,answers=off,processes=16,max_processes=16", models=2)
    )
    runs = board.rows(
        "SELECT m.case_id, r.batch, r.block, r.position, r.number FROM runs AS r"
        " JOIN measurements AS m ON m.id = r.measurement_id ORDER BY r.block, r.position"
    )
    assert len(runs) == 2 * 16
    (batch,) = {row["batch"] for row in runs}
    cases = {row["case_id"] for row in runs}
    orders = set()
    for block in range(16):
        block_runs = [row for row in runs if row["block"] == block]
        assert [row["position"] for row in block_runs] == [0, 1]
        assert [row["case_id"] for row in block_runs] == order_block(
            batch, block, cases=sorted(cases), ordering="interleaved"
        )
        assert {row["number"] for row in block_runs} == {block + 1}
        orders.add(tuple(row["case_id"] for row in block_runs))
    assert len(orders) == 2, "both orders occur"
    (stored,) = board.rows("SELECT id, device, ordering, cases FROM batches")
    assert stored == {"id": batch, "device": "board", "ordering": "interleaved", "cases": 2}


def test_sequential_order_finishes_a_case_before_the_next(board: Bench) -> None:
    board.add_tool()
    expect_success(board.bench(f"{QUICK},canary=off,answers=off,order=sequential", models=2))
    graphs = [line.split()[0] for line in board.starts()]
    assert [count for _, count in Counter(graphs).items()] == [MIN_RUNS, MIN_RUNS]
    assert graphs[:MIN_RUNS] == [graphs[0]] * MIN_RUNS


def test_measuring_continues_until_the_interval_is_narrow_or_the_limit_is_reached(
    board: Bench,
) -> None:
    board.add_tool(latencies_us=[100, 140] * MAX_RUNS)
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    (row,) = board.rows("SELECT runs, latency_low_us, latency_high_us, quality FROM results")
    assert row["runs"] == MAX_RUNS
    assert "wide_interval: " in row["quality"]
    assert "spread: run-to-run spread 33%" in row["quality"]


def test_a_throttled_process_is_stored_but_not_counted_and_repeated(board: Bench) -> None:
    """The board throttles from the end of the third process to the start of the fourth."""
    flag = board.sysfs.throttled
    board.add_tool(f'if [ "$number" = 3 ]; then echo 0x4 >{flag}; us=300; else echo 0 >{flag}; fi')
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    runs = board.rows("SELECT number, avg_us, throttled, disturbed FROM runs ORDER BY number")
    assert len(runs) == MIN_RUNS + 2
    assert [row["number"] for row in runs if row["disturbed"]] == [3, 4]
    assert (runs[2]["avg_us"], bool(runs[2]["throttled"]), runs[2]["disturbed"]) == (
        300.0,
        True,
        "throttled",
    )
    (row,) = board.rows("SELECT latency_us, runs, disturbed_runs, quality FROM results")
    assert (row["latency_us"], row["runs"], row["disturbed_runs"]) == (100.0, MIN_RUNS, 2)
    assert "disturbed: 2 of 8 processes (throttled), these do not count" in row["quality"]


@pytest.mark.full
def test_a_process_on_a_slower_clock_does_not_count(board: Bench) -> None:
    """Each process lasts long enough for its clock to be read."""
    clock = board.sysfs.policy(1) / "scaling_cur_freq"
    set_clock = f'khz=2000000; [ "$number" != 4 ] || khz=1200000; echo $khz >{clock}'
    board.add_tool(f"{set_clock}; sleep 1.5")
    board.sysfs.write(clock, 2_000_000)
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    marked = board.rows("SELECT number, disturbed FROM runs WHERE disturbed <> ''")
    assert [row["number"] for row in marked][:1] == [4]
    assert "slowed down to" in marked[0]["disturbed"]


@pytest.mark.full
def test_a_number_from_disturbed_processes_alone_has_a_warning(board: Bench) -> None:
    board.sysfs.write(board.sysfs.throttled, "0x2")
    board.add_tool()
    expect_success(board.bench(f"{QUICK},answers=off"))
    assert {row["disturbed"] for row in board.rows("SELECT disturbed FROM canaries")} == {
        "throttled"
    }
    (row,) = board.rows("SELECT runs, disturbed_runs, quality FROM results")
    assert (row["runs"], row["disturbed_runs"]) == (MAX_RUNS + MAX_RUNS // 2, 0)
    assert "all count, as too few others remain" in row["quality"]


@pytest.mark.full
def test_a_bench_waits_until_a_hot_device_is_cool(board: Bench) -> None:
    board.sysfs.write(board.sysfs.temperature, 80_000)
    board.add_tool()
    waiting = board.cli.start(
        *board.command("quick,gates.max_busy=1,gates.max_wait_s=600,canary=off,answers=off")
    )
    assert waiting.stdout is not None
    line = next(
        printed_line
        for printed_line in waiting.stdout
        if "waiting until it has settled" in printed_line
    )
    assert "80 °C, over 60 °C" in line
    assert not (board.folder / "starts").exists()
    board.sysfs.write(board.sysfs.temperature, 45_000)
    printed, errors = waiting.communicate()
    assert waiting.returncode == 0, printed + errors
    (batch,) = board.rows("SELECT waited_s, waited_for FROM batches")
    assert batch["waited_s"] > 0
    assert "80 °C" in batch["waited_for"]
    (row,) = board.rows("SELECT quality, temperature_c FROM results")
    assert row == {"quality": "ok", "temperature_c": 45.0}


@pytest.mark.full
def test_a_device_that_stays_hot_is_measured_after_the_longest_wait_with_a_warning(
    board: Bench,
) -> None:
    board.sysfs.write(board.sysfs.temperature, 80_000)
    board.add_tool()
    expect_success(
        board.bench("quick,gates.max_busy=1,gates.max_wait_s=0.5,canary=off,answers=off")
    )
    (row,) = board.rows("SELECT runs, quality FROM results")
    assert row["runs"] == MIN_RUNS
    assert "not_settled: 80 °C, over 60 °C" in row["quality"]


def test_an_unreadable_sensor_gives_null_and_no_wait(
    cli: Cli, board: Bench, tmp_path: Path
) -> None:
    cli.settings["HARNESS_SYSFS"] = str(tmp_path / "nothing here")
    board.add_tool()
    expect_success(
        board.bench("quick,gates.max_busy=1,gates.max_wait_s=600,canary=off,answers=off")
    )
    (run,) = board.rows(
        "SELECT DISTINCT temperature_c, frequency_khz, throttled, power_uw FROM runs"
    )
    assert run == {
        "temperature_c": None,
        "frequency_khz": None,
        "throttled": None,
        "power_uw": None,
    }
    assert board.rows("SELECT waited_s FROM batches") == [{"waited_s": 0.0}]


@pytest.mark.full
def test_the_tool_runs_on_the_fast_cores_unless_the_entry_names_others(board: Bench) -> None:
    board.add_tool("grep Cpus_allowed_list /proc/self/status >>$(dirname $0)/cores")
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    board.register(cpus="all")
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    assert {row["cpus"] for row in board.rows("SELECT cpus FROM results")} == {"1", ""}


@pytest.mark.full
def test_canaries_run_before_and_after_and_reveal_a_device_that_drifts(
    board: Bench,
) -> None:
    board.add_tool()
    for _ in range(3):
        expect_success(board.bench(f"{QUICK},answers=off", "--force"))
    canaries = board.rows("SELECT moment, latency_us, message FROM canaries ORDER BY id")
    assert (
        canaries
        == [
            {"moment": moment, "latency_us": 100.0, "message": ""} for moment in ("before", "after")
        ]
        * 3
    )
    assert "100 µs, +0.0% against 5 earlier" in expect_success(
        board.cli.run("devices", "check", "--devices", board.folder / "devices.yaml")
    )
    (board.folder / "latencies").write_text("150\n" * 100)
    expect_success(board.bench(f"{QUICK},answers=off", "--force"))
    (row,) = board.rows("SELECT quality FROM results")
    assert "canary: the canary took +50% against the median of 6 earlier ones" in row["quality"]
    checked = board.cli.run("devices", "check", "--devices", board.folder / "devices.yaml")
    assert "board: canary: the canary took +50%" in checked.stdout


def test_a_fast_wrong_answer_is_a_failure(board: Bench) -> None:
    """The tool writes its answer as requested, but always predicts the last of ten classes."""
    tool_script = """
for arg in "$@"; do case $arg in --output_filepath=*) output=${arg#*=} ;; esac; done
[ -z "${output-}" ] || { head -c 36 /dev/zero; printf '\\0\\0\\200\\077'; } >"$output"
"""
    board.add_tool(tool_script)
    ended = board.bench(f"{QUICK},canary=off")
    assert ended.returncode == 1
    (failure,) = board.rows("SELECT reason, message FROM failures")
    assert failure["reason"] == "wrong_answer"
    assert "answers otherwise than the interpreter" in failure["message"]
    assert board.rows("SELECT * FROM results") == []
    (answer,) = board.rows("SELECT images, classes_agree, largest_difference FROM answers")
    assert (answer["images"], bool(answer["classes_agree"])) == (8, False)
    assert answer["largest_difference"] > 0.1


@pytest.mark.full
def test_a_correct_answer_is_checked_once_and_again_on_request(cli: Cli, repository: Path) -> None:
    """The real runner of this machine answers."""
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    command = (
        "bench",
        model,
        "--protocol",
        f"{QUICK},canary=off,processes=1,max_processes=1,target=0",
    )
    expect_success(cli.run(*command))
    (first,) = cli.rows("SELECT images, classes_agree, largest_difference, checked_at FROM answers")
    assert (first["images"], bool(first["classes_agree"]), first["largest_difference"]) == (
        8,
        True,
        0.0,
    )
    (row,) = cli.rows("SELECT classes_agree, largest_difference FROM results")
    assert (bool(row["classes_agree"]), row["largest_difference"]) == (True, 0.0)
    expect_success(cli.run(*command, "--force"))
    assert [row["checked_at"] for row in cli.rows("SELECT checked_at FROM answers")] == [
        first["checked_at"]
    ]
    expect_success(cli.run(*command, "--check-answers"))
    assert [row["checked_at"] for row in cli.rows("SELECT checked_at FROM answers")] != [
        first["checked_at"]
    ]
    assert len(cli.rows("SELECT * FROM measurements")) == 2, "checking answers measures nothing"


def test_the_answers_of_a_tool_that_writes_no_outputs_stay_unchecked(board: Bench) -> None:
    board.add_tool()
    printed = expect_success(board.bench(f"{QUICK},canary=off"))
    assert re.search(rf"{board.models[0].name} \(\w+\): .* answers were not checked", printed)
    (row,) = board.rows("SELECT classes_agree, largest_difference, quality FROM results")
    assert row == {"classes_agree": None, "largest_difference": None, "quality": "ok"}


@pytest.mark.full
def test_energy_excludes_idle_power_and_is_null_if_unknown(board: Bench) -> None:
    """2 W idle and 5 W busy over 20 ms per inference give 0.06 J."""
    board.add_tool(f"echo 5000000 >{board.sysfs.power}; sleep 1; us=100000")
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    assert board.rows("SELECT energy_uj FROM results") == [{"energy_uj": None}]
    after = f"echo 5000000 >{board.sysfs.power}; us=20000; sleep 1.5"
    board.sysfs.write(board.sysfs.power, 2_000_000)
    board.add_tool(f"{after}; (sleep 0.1; echo 2000000 >{board.sysfs.power}) &")
    expect_success(board.bench(f"{QUICK},canary=off,answers=off", "--force"))
    (batch,) = board.rows("SELECT idle_power_uw FROM batches WHERE idle_power_uw IS NOT NULL")
    assert batch["idle_power_uw"] == 2_000_000
    rows = board.rows(
        "SELECT energy_uj, energy_low_uj, energy_high_uj FROM results ORDER BY measured_at DESC"
    )
    newest = rows[0]
    assert newest["energy_uj"] == pytest.approx(3 * 20_000, rel=0.05)
    assert newest["energy_low_uj"] <= newest["energy_uj"] <= newest["energy_high_uj"]


def test_a_governor_is_set_while_the_device_is_benched_and_put_back(board: Bench) -> None:
    board.register(governor="performance")
    files = [board.sysfs.policy(number) / "scaling_governor" for number in (0, 1)]
    board.add_tool(f"cat {files[0]} {files[1]} >>{board.folder}/governors")
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    assert set((board.folder / "governors").read_text().split()) == {"performance"}
    assert [file.read_text().strip() for file in files] == ["ondemand", "ondemand"]


@pytest.mark.full
def test_a_governor_is_put_back_by_the_next_bench_after_one_that_was_killed(board: Bench) -> None:
    board.register(governor="performance")
    file = board.sysfs.policy(0) / "scaling_governor"
    board.add_tool("sleep 1000")
    bench = board.cli.start(*board.command(f"{QUICK},canary=off,answers=off"))
    wait_until(lambda: file.read_text().strip() == "performance", "the governor was set")
    wait_until((board.folder / "starts").exists, "the tool runs")
    bench.kill()
    bench.communicate()
    board.register()
    board.add_tool()
    expect_success(board.bench(f"{QUICK},canary=off,answers=off"))
    assert file.read_text().strip() == "ondemand"


def test_an_unknown_governor_is_reported_with_the_available_ones(board: Bench) -> None:
    board.register(governor="fastest")
    board.add_tool()
    ended = board.bench(f"{QUICK},canary=off,answers=off")
    assert ended.returncode == 1
    assert (
        "has no governor fastest: set `governor` in its entry to ondemand or performance"
        in ended.stderr
    )


def test_a_profile_is_taken_in_addition_to_the_measurement(board: Bench, repository: Path) -> None:
    recorded = repository / "tests" / "data" / "golden" / "profile_bnn" / "stdout"
    board.add_tool(
        f'case "$*" in *op_profiling*) grep -v "Num threads\\|Min \\|Graph" {recorded}; '
        "exit ;; esac"
    )
    expect_success(board.bench(f"{QUICK},canary=off,answers=off", "--profile"))
    profile = board.cli.query("op_profile")
    shares = {row["role"]: row["time_share"] for row in profile}
    assert shares["binary convolution"] == pytest.approx(0.069, abs=0.002)
    assert sum(shares.values()) == pytest.approx(1, abs=0.001)
    assert {row["role"]: row["macs"] for row in profile}["binary convolution"] > 0


@pytest.mark.full
def test_profiling_continues_after_someone_else_used_the_device(
    board: Bench, repository: Path
) -> None:
    """Our turn expires during the first profile, and someone else has the device for seconds."""
    recorded = repository / "tests" / "data" / "golden" / "profile_bnn" / "stdout"
    device_folder, stolen = board.folder / "on board", board.folder / "stolen"
    board.register(folder=str(device_folder))
    board.add_tool(f"""
        case "$*" in *op_profiling*)
            if mkdir '{stolen}' 2>/dev/null; then
                uptime=$(cut -d. -f1 /proc/uptime)
                head -n 1 '{device_folder}/queue' >'{stolen}/queue'
                echo "token $((uptime + 4)) ada" >>'{stolen}/queue'
                mv '{stolen}/queue' '{device_folder}/queue'
            fi
            grep -v "Num threads\\|Min \\|Graph" '{recorded}'
            exit ;;
        esac""")
    printed = expect_success(board.bench(f"{QUICK},canary=off,answers=off", "--profile", models=2))
    assert "in use by ada" in printed
    profiled = board.rows("SELECT DISTINCT case_id FROM operators")
    assert len(profiled) == 2


@pytest.mark.full
def test_a_profile_by_the_python_runner_is_refused(cli: Cli, repository: Path) -> None:
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    protocol = f"{QUICK},canary=off,answers=off,processes=1,max_processes=1,target=0"
    ended = cli.run("bench", model, "--protocol", protocol, "--profile")
    assert ended.returncode == 1
    assert "not_profiled" in ended.stdout
    assert len(cli.rows("SELECT * FROM results")) == 1, "the measurement stays"


@pytest.mark.full
def test_tools_check_distinguishes_reference_from_optimised_kernels(board: Bench) -> None:
    board.add_tool('case "$*" in *use_reference_bconv=true*) us=400 ;; esac')
    checked = expect_success(
        board.cli.run("tools", "check", "--devices", board.folder / "devices.yaml")
    )
    assert "optimised" in checked
    assert [row["ratio"] for row in board.rows("SELECT ratio FROM kernels")] == [pytest.approx(4)]

    board.add_tool("exec 3>&1  # another build")
    slow = board.cli.run("tools", "check", "--devices", board.folder / "devices.yaml")
    assert slow.returncode == 1
    assert "no gain, so its optimised kernels are missing" in " ".join(slow.stdout.split())
    verdicts = board.rows("SELECT verdict, tool_sha256 FROM kernels ORDER BY checked_at")
    assert [row["verdict"] for row in verdicts] == ["optimised", "reference"]
    expect_success(board.bench(f"{QUICK},canary=off,answers=off", models=2))
    quality = {
        row["binary"]: row["quality"]
        for row in board.rows("SELECT binary_macs > 0 AS binary, quality FROM results")
    }
    assert "reference_kernels: " in quality[1]
    assert quality[0] == "ok"
