"""The contract of every transport for watching a run, reading sensors and setting governors.

A tree of plain files in the device's working folder stands in for /sys.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest

from harness.bench.facts import build_facts_script, read_facts
from harness.bench.sensors import Sensor, find_sensors, select_power_sensors
from harness.bench.watch import (
    build_reading_script,
    format_header,
    parse_reading,
    read_cpu_times,
    read_idle_power_uw,
    summarise_sensors,
)
from harness.core.errors import CaseFailed, Reason
from harness.devices import Transport, Turn
from harness.devices.link import CommandResult, Link
from tests.waiting import wait_until

PATIENCE_S = 60.0
WAIT_FOR_LOOKS = """until [ "$(grep -c '^at' watch)" -ge "$1" ]; do sleep 0.1; done"""
POLICIES = "devices/system/cpu/cpufreq"
SYSFS = {
    f"{POLICIES}/policy0/related_cpus": "0 1 2 3",
    f"{POLICIES}/policy0/cpuinfo_max_freq": "1800000",
    f"{POLICIES}/policy0/scaling_cur_freq": "600000",
    f"{POLICIES}/policy0/scaling_governor": "schedutil",
    f"{POLICIES}/policy0/scaling_available_governors": "powersave performance schedutil",
    f"{POLICIES}/policy4/related_cpus": "4 5",
    f"{POLICIES}/policy4/cpuinfo_max_freq": "2400000",
    f"{POLICIES}/policy4/scaling_cur_freq": "2208000",
    f"{POLICIES}/policy4/scaling_governor": "ondemand",
    "class/thermal/thermal_zone0/type": "cpu-thermal",
    "class/thermal/thermal_zone0/temp": "61500",
    "class/thermal/thermal_zone1/type": "gpu-thermal",
    "class/thermal/thermal_zone1/temp": "99000",
    "devices/platform/soc/soc:firmware/get_throttled": "50000",
    "class/hwmon/hwmon0/name": "ina3221",
    "class/hwmon/hwmon0/in1_label": "VDD_IN",
    "class/hwmon/hwmon0/in1_input": "5000",
    "class/hwmon/hwmon0/curr1_input": "700",
    "class/hwmon/hwmon0/in2_label": "VDD_CPU_GPU",
    "class/hwmon/hwmon0/in2_input": "5000",
    "class/hwmon/hwmon0/curr2_input": "300",
}
OURS = Turn("ours", "ada@lab (process 1)")
THEIRS = Turn("theirs", "eve@lab (process 2)")


@dataclass
class SysfsLink:
    """A link to a device whose shells use a tree of plain files as /sys."""

    link: Link
    tree: str

    def open(self) -> None:
        self.link.open()

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        return self.link.execute(
            f"export HARNESS_SYSFS={quote(self.tree)}; {command}", timeout_s, stdin=stdin
        )

    def close(self) -> None:
        self.link.close()


def create_tree(transport: Transport, files: Mapping[str, str]) -> str:
    """Create the tree on the device and return its path.

    It lies below a temporary folder, as no path in /sys has a semicolon.
    """
    lines = [
        f"mkdir -p {quote(str(Path(name).parent))}; echo {quote(text)} >{quote(name)}"
        for name, text in files.items()
    ]
    start = (
        'mkdir "${tree=$(mktemp -d)}/sys tree" && ln -s "$tree/sys tree" . && '
        "cd 'sys tree' && pwd -P"
    )
    result = transport.run_script("\n".join((start, *lines)))
    assert result.exit_code == 0, result.stderr
    return result.stdout.rstrip("\n")


@pytest.fixture
def board(transport: Transport) -> Iterator[Transport]:
    """A device with two clusters of cores, sensors and governors."""
    agent = transport._agent
    link, tree = agent._link, create_tree(transport, SYSFS)
    agent._link = SysfsLink(link, tree)
    yield transport
    agent._link = link
    transport.run_script(f"rm -r {quote(str(Path(tree).parent))}")


def governors(transport: Transport) -> list[str]:
    return transport.run_script(
        f"cat 'sys tree'/{POLICIES}/policy*/scaling_governor"
    ).stdout.split()


def running_processes(transport: Transport) -> str:
    """Return the processes that work in a run's folder, as lines of /proc paths."""
    find = (
        'for folder in /proc/[0-9]*; do case $(readlink "$folder/cwd") in '
        '"$PWD"/runs/*) echo "$folder" ;; esac; done 2>/dev/null'
    )
    return transport.run_script(find).stdout


def test_sensors_are_read_before_during_and_after_a_run(transport: Transport) -> None:
    root = transport.run_script("echo 40000 >'a file'; echo 1 2 >'two words'; pwd").stdout.rstrip(
        "\n"
    )
    sources = [
        f"{root}/a file",
        f"{root}/none",
        "!echo x; echo 'y  z*'",
        f"{root}/two words",
        "!false",
    ]
    heat = f"{WAIT_FOR_LOOKS}; echo 70000 >{quote(f'{root}/a file')}"
    result = transport.run(["sh", "-c", heat, "sh", "3"], PATIENCE_S, watch=sources, interval_s=0.1)
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.watch.splitlines()]
    looks = [line[2:] for line in lines if line[0] == "at"]
    assert len(looks) >= 4
    assert looks[0] == ["40000", "-", "x,y,z*", "1,2", "-"]
    assert looks[-1] == ["70000", "-", "x,y,z*", "1,2", "-"]
    assert lines[0][0] == lines[-1][0] == "at"
    assert [line[0] for line in lines].count("cpu") == 2
    wait_until(lambda: not running_processes(transport), "the watcher has ended")


def test_a_run_watched_without_sensors_reports_the_time_of_the_cores(transport: Transport) -> None:
    result = transport.run(["echo", "out"], PATIENCE_S, watch=())
    assert result.stdout == "out\n"
    assert len(read_cpu_times(format_header(()) + result.watch)) == 2


def test_a_run_that_is_not_watched_records_nothing(transport: Transport) -> None:
    assert transport.run(["cat", "watch"], PATIENCE_S).stdout == ""
    assert transport.run(["true"], PATIENCE_S).watch == ""


@pytest.mark.parametrize(
    "tool", ["sleep 1000", "trap '' TERM; while :; do sleep 1000; done"], ids=["tame", "stubborn"]
)
def test_watching_ends_when_a_command_exceeds_its_time_limit(
    transport: Transport, tool: str
) -> None:
    with pytest.raises(CaseFailed, match="still running after") as failed:
        transport.run(["sh", "-c", tool], 1.0, watch=["/proc/uptime"], interval_s=0.1)
    assert failed.value.reason is Reason.TIMEOUT
    wait_until(lambda: not running_processes(transport), "all processes have ended")


def test_a_watched_tool_that_ends_at_once_ends_its_run(transport: Transport) -> None:
    """The watcher is stopped while it starts: a shell may lose a signal in that moment."""
    for _ in range(10):
        assert transport.run(["true"], PATIENCE_S, watch=["/proc/loadavg"]).exit_code == 0


def test_output_and_readings_are_separate(transport: Transport) -> None:
    result = transport.run(
        ["sh", "-c", "echo out; echo err >&2"], PATIENCE_S, watch=["!echo reading"]
    )
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert result.watch.count("reading") == 2


def test_the_sensors_of_a_device_are_found_and_read(board: Transport) -> None:
    facts = read_facts(board.run_script(build_facts_script()).stdout)
    sensors = find_sensors(facts, (4, 5))
    assert [sensor.kind for sensor in sensors] == [
        "temperature",
        "frequency",
        "throttled",
        "current_ma",
        "voltage_mv",
    ]
    result = board.run(
        ["sh", "-c", WAIT_FOR_LOOKS, "sh", "4"],
        PATIENCE_S,
        watch=[sensor.source for sensor in sensors],
        interval_s=0.1,
    )
    readings = summarise_sensors(format_header(sensors) + result.watch, PATIENCE_S)
    assert (
        readings.temperature_c,
        readings.frequency_khz,
        readings.throttled,
    ) == (61.5, 2208000, False)
    assert readings.power_uw == pytest.approx(3_500_000)
    power = select_power_sensors(sensors)
    idle = board.run(["sleep", "0.1"], PATIENCE_S, watch=[sensor.source for sensor in power])
    assert read_idle_power_uw(format_header(power) + idle.watch) == pytest.approx(3_500_000)


def test_a_reading_shows_the_state_of_the_device(board: Transport) -> None:
    facts = read_facts(board.run_script(build_facts_script()).stdout)
    sensors = (
        *find_sensors(facts),
        Sensor("temperature", "/no/such file"),
        Sensor("throttled", "!echo throttled=0x50004"),
    )
    reading = parse_reading(board.run_script(build_reading_script(sensors, facts)).stdout)
    assert (reading.temperature_c, reading.throttled) == (61.5, True)
    assert reading.busy is not None


def test_a_governor_is_set_only_for_the_turn(board: Transport) -> None:
    assert board.set_governor(OURS, "performance") is None
    assert governors(board) == ["performance"] * 2
    assert board.set_governor(OURS, "powersave") is None
    assert board.take_turn(OURS) is None
    assert governors(board) == ["powersave"] * 2
    board.release_turn(OURS)
    assert governors(board) == ["schedutil", "ondemand"]


def test_the_governor_of_a_device_in_use_by_others_stays(board: Transport) -> None:
    assert board.take_turn(THEIRS) is None
    assert board.set_governor(OURS, "performance") == THEIRS.owner
    assert governors(board) == ["schedutil", "ondemand"]


@pytest.mark.parametrize(
    "following", [THEIRS, Turn(OURS.token, "ada@lab (process 3)")], ids=["others", "successor"]
)
def test_the_next_user_finds_the_original_governors(board: Transport, following: Turn) -> None:
    board.set_governor(Turn(OURS.token, OURS.owner, seconds=0), "performance")
    wait_until(lambda: board.take_turn(following) is None, "the turn is over")
    assert governors(board) == ["schedutil", "ondemand"]
    assert board.set_governor(following, "performance") is None
    assert governors(board) == ["performance"] * 2


def test_the_device_restores_its_governors_after_the_harness_has_died(board: Transport) -> None:
    board.set_governor(Turn(OURS.token, OURS.owner, seconds=0), "performance")
    board.close()
    wait_until(
        lambda: governors(board) == ["schedutil", "ondemand"], "the device restores its governors"
    )


@pytest.mark.full
def test_a_governor_stays_when_an_earlier_harness_has_died(board: Transport) -> None:
    """The keeper process of the dead harness must not undo what the second harness has set."""
    board.set_governor(Turn("dead", OURS.owner, seconds=0), "performance")
    wait_until(lambda: board.take_turn(THEIRS) is None, "the turn is over")
    board.set_governor(THEIRS, "powersave")
    keepers = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'keep [0-9]* dead'"
    wait_until(
        lambda: board.run_script(keepers).stdout == "0\n",
        "the keeper of the dead harness has ended",
    )
    assert governors(board) == ["powersave"] * 2


def test_governors_saved_before_a_reboot_are_dropped(board: Transport) -> None:
    file = f"sys tree/{POLICIES}/policy0/scaling_governor"
    board.run_script(
        f"printf 'another-boot 1\\nours x\\nperformance %s\\n' {quote(file)} >governors"
    )
    board.take_turn(OURS)
    assert governors(board) == ["schedutil", "ondemand"]
    assert board.run_script("test -e governors").exit_code == 1


def _remove_clocks(transport: Transport) -> None:
    transport.run_script("rm -r 'sys tree/devices'")


def _make_read_only(transport: Transport) -> None:
    """Make the second policy's file one that not even root can write."""
    transport.run_script(f"ln -sf /proc/version 'sys tree/{POLICIES}/policy4/scaling_governor'")


@pytest.mark.parametrize(
    ("governor", "spoil", "message"),
    [
        (
            "perfomance",
            lambda _: None,
            "has no governor perfomance: set `governor` in its entry to powersave or perf",
        ),
        ("performance", _remove_clocks, "does not allow setting the clock of its cores"),
        (
            "performance",
            _make_read_only,
            "log in as root, or remove `governor` from its entry",
        ),
    ],
    ids=["unknown", "no_clocks", "not_writable"],
)
def test_a_governor_that_cannot_be_set_gives_a_message_and_changes_nothing(
    board: Transport, governor: str, spoil: Callable[[Transport], None], message: str
) -> None:
    spoil(board)
    before = governors(board)
    with pytest.raises(CaseFailed, match=message) as failed:
        board.set_governor(OURS, governor)
    assert failed.value.reason is Reason.NOT_WRITABLE
    assert governors(board) == before
