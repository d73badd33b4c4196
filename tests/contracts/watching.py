"""What holds for every transport that watches a run, looks at its device's sensors, and sets its governor.

The kernel's files are plain ones here: a tree in the device's working folder stands in for /sys.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest

from harness.bench.facts import read_facts, script
from harness.bench.sensors import Sensor, power_sensors, sensors_of
from harness.bench.watch import counts, header, idle_power_uw, read_reading, reading_script, watched
from harness.core.errors import CaseFailed, Reason
from harness.devices import Transport, Turn
from harness.devices.link import CommandResult, Link
from tests.waiting import wait_until

PATIENCE_S = 60.0
LOOKS = """until [ "$(grep -c '^at' watch)" -ge "$1" ]; do sleep 0.1; done"""
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
    """A link to a device whose shells take a tree of files for /sys."""

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


def lay_out(transport: Transport, files: Mapping[str, str]) -> str:
    """Where the tree is there: below a folder of its own, as no path of /sys has a semicolon."""
    lines = [
        f"mkdir -p {quote(str(Path(name).parent))}; echo {quote(text)} >{quote(name)}"
        for name, text in files.items()
    ]
    start = 'mkdir "${tree=$(mktemp -d)}/sys tree" && ln -s "$tree/sys tree" . && cd \'sys tree\' && pwd -P'
    answer = transport.run_script("\n".join((start, *lines)))
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout.rstrip("\n")


@pytest.fixture
def board(transport: Transport) -> Iterator[Transport]:
    """The device, with two clusters of cores, sensors and governors."""
    agent = transport._agent
    link, tree = agent._link, lay_out(transport, SYSFS)
    agent._link = SysfsLink(link, tree)
    yield transport
    agent._link = link
    transport.run_script(f"rm -r {quote(str(Path(tree).parent))}")


def governors(transport: Transport) -> list[str]:
    return transport.run_script(
        f"cat 'sys tree'/{POLICIES}/policy*/scaling_governor"
    ).stdout.split()


def still_running(transport: Transport) -> str:
    """Processes that work in a run's folder."""
    find = 'for one in /proc/[0-9]*; do case $(readlink "$one/cwd") in "$PWD"/runs/*) echo "$one" ;; esac; done 2>/dev/null'
    return transport.run_script(find).stdout


def test_sensors_are_looked_at_before_during_and_after_a_run(transport: Transport) -> None:
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
    heat = f"{LOOKS}; echo 70000 >{quote(f'{root}/a file')}"
    answer = transport.run(["sh", "-c", heat, "sh", "3"], PATIENCE_S, watch=sources, interval_s=0.1)
    assert answer.exit_code == 0, answer.stderr
    lines = [line.split() for line in answer.watch.splitlines()]
    looks = [line[2:] for line in lines if line[0] == "at"]
    assert len(looks) >= 4
    assert looks[0] == ["40000", "-", "x,y,z*", "1,2", "-"]
    assert looks[-1] == ["70000", "-", "x,y,z*", "1,2", "-"]
    assert lines[0][0] == lines[-1][0] == "at"
    assert [line[0] for line in lines].count("cpu") == 2
    wait_until(lambda: not still_running(transport), "the watcher has ended")


def test_a_run_that_is_watched_without_sensors_tells_the_cores_time(transport: Transport) -> None:
    answer = transport.run(["echo", "out"], PATIENCE_S, watch=())
    assert answer.stdout == "out\n"
    assert len(counts(header(()) + answer.watch)) == 2


def test_a_run_that_is_not_watched_tells_nothing(transport: Transport) -> None:
    assert transport.run(["cat", "watch"], PATIENCE_S).stdout == ""
    assert transport.run(["true"], PATIENCE_S).watch == ""


@pytest.mark.parametrize(
    "tool", ["sleep 1000", "trap '' TERM; while :; do sleep 1000; done"], ids=["tame", "stubborn"]
)
def test_nothing_looks_on_after_a_command_that_takes_too_long(
    transport: Transport, tool: str
) -> None:
    with pytest.raises(CaseFailed, match="still running after") as failed:
        transport.run(["sh", "-c", tool], 1.0, watch=["/proc/uptime"], interval_s=0.1)
    assert failed.value.reason is Reason.TIMEOUT
    wait_until(lambda: not still_running(transport), "all of it has ended")


def test_output_and_what_was_seen_stay_apart(transport: Transport) -> None:
    answer = transport.run(["sh", "-c", "echo out; echo err >&2"], PATIENCE_S, watch=["!echo seen"])
    assert (answer.stdout, answer.stderr) == ("out\n", "err\n")
    assert answer.watch.count("seen") == 2


def test_what_a_device_can_be_watched_by_is_found_and_read(board: Transport) -> None:
    facts = read_facts(board.run_script(script()).stdout)
    sensors = sensors_of(facts, (4, 5))
    assert [sensor.kind for sensor in sensors] == [
        "temperature",
        "frequency",
        "throttled",
        "current_ma",
        "voltage_mv",
    ]
    answer = board.run(
        ["sh", "-c", LOOKS, "sh", "4"],
        PATIENCE_S,
        watch=[one.source for one in sensors],
        interval_s=0.1,
    )
    seen = watched(header(sensors) + answer.watch, PATIENCE_S)
    assert (seen.temperature_c, seen.frequency_khz, seen.throttled) == (61.5, 2208000, False)
    assert seen.power_uw == pytest.approx(3_500_000)
    power = power_sensors(sensors)
    idle = board.run(["sleep", "0.1"], PATIENCE_S, watch=[one.source for one in power])
    assert idle_power_uw(header(power) + idle.watch) == pytest.approx(3_500_000)


def test_a_reading_tells_how_the_device_is(board: Transport) -> None:
    facts = read_facts(board.run_script(script()).stdout)
    sensors = (
        *sensors_of(facts),
        Sensor("temperature", "/no/such file"),
        Sensor("throttled", "!echo throttled=0x50004"),
    )
    reading = read_reading(board.run_script(reading_script(sensors, facts)).stdout)
    assert (reading.temperature_c, reading.throttled) == (61.5, True)
    assert reading.busy is not None


def test_a_governor_is_set_for_the_turn_alone(board: Transport) -> None:
    assert board.set_governor(OURS, "performance") is None
    assert governors(board) == ["performance"] * 2
    assert board.set_governor(OURS, "powersave") is None
    assert board.take_turn(OURS) is None
    assert governors(board) == ["powersave"] * 2
    board.release_turn(OURS)
    assert governors(board) == ["schedutil", "ondemand"]


def test_a_device_that_is_not_ours_is_not_governed(board: Transport) -> None:
    assert board.take_turn(THEIRS) is None
    assert board.set_governor(OURS, "performance") == THEIRS.owner
    assert governors(board) == ["schedutil", "ondemand"]


@pytest.mark.parametrize(
    "following", [THEIRS, Turn(OURS.token, "ada@lab (process 3)")], ids=["others", "successor"]
)
def test_who_follows_finds_the_governors_as_they_were(board: Transport, following: Turn) -> None:
    board.set_governor(Turn(OURS.token, OURS.owner, seconds=0), "performance")
    wait_until(lambda: board.take_turn(following) is None, "the turn is over")
    assert governors(board) == ["schedutil", "ondemand"]
    assert board.set_governor(following, "performance") is None
    assert governors(board) == ["performance"] * 2


def test_the_device_puts_its_governors_back_when_the_harness_has_died(board: Transport) -> None:
    board.set_governor(Turn(OURS.token, OURS.owner, seconds=0), "performance")
    board.close()
    wait_until(lambda: governors(board) == ["schedutil", "ondemand"], "the device has noticed")


def test_a_governor_stays_when_another_harness_has_died_before(board: Transport) -> None:
    """The process on the device that watches over the first one's must not end what the second one has set."""
    board.set_governor(Turn("dead", OURS.owner, seconds=0), "performance")
    wait_until(lambda: board.take_turn(THEIRS) is None, "the turn is over")
    board.set_governor(THEIRS, "powersave")
    keepers = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'keep [0-9]* dead'"
    wait_until(
        lambda: board.run_script(keepers).stdout == "0\n", "the first one's process has ended"
    )
    assert governors(board) == ["powersave"] * 2


def test_what_was_saved_before_the_device_was_started_anew_is_dropped(board: Transport) -> None:
    file = f"sys tree/{POLICIES}/policy0/scaling_governor"
    board.run_script(
        f"printf 'another-boot 1\\nours x\\nperformance %s\\n' {quote(file)} >governors"
    )
    board.take_turn(OURS)
    assert governors(board) == ["schedutil", "ondemand"]
    assert board.run_script("test -e governors").exit_code == 1


def _no_clocks(transport: Transport) -> None:
    transport.run_script("rm -r 'sys tree/devices'")


def _not_writable(transport: Transport) -> None:
    """The second policy's file can be read, but not written, whoever one is."""
    transport.run_script(f"ln -sf /proc/version 'sys tree/{POLICIES}/policy4/scaling_governor'")


@pytest.mark.parametrize(
    ("governor", "spoil", "words"),
    [
        (
            "perfomance",
            lambda _: None,
            "has no governor perfomance: set `governor` in its entry to powersave or perf",
        ),
        ("performance", _no_clocks, "does not let the clock of its cores be set"),
        ("performance", _not_writable, "log in as root there, or take `governor` out of its entry"),
    ],
    ids=["unknown", "no_clocks", "not_writable"],
)
def test_a_governor_that_cant_be_set_is_a_sentence_and_nothing_is_changed(
    board: Transport, governor: str, spoil: Callable[[Transport], None], words: str
) -> None:
    spoil(board)
    before = governors(board)
    with pytest.raises(CaseFailed, match=words) as failed:
        board.set_governor(OURS, governor)
    assert failed.value.reason is Reason.NOT_WRITABLE
    assert governors(board) == before
