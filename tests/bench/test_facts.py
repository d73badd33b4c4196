import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.facts import FACTS, abi_of, build_facts_script, read_facts
from harness.bench.sensors import choose_cpus, find_sensors
from tests.processor_time import bounded_time

PARSERS = {fact.name: fact.parse for fact in FACTS}

X86_CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC 9354 32-Core Processor
stepping\t: 1
flags\t\t: fpu vme sse sse2 avx avx2
bugs\t\t: sysret_ss_attrs null_seg
address sizes\t: 48 bits physical, 48 bits virtual
power management:

processor\t: 1
vendor_id\t: AuthenticAMD
model\t\t: 17
model name\t: AMD EPYC 9354 32-Core Processor
flags\t\t: fpu vme sse sse2 avx avx2

"""
PI4_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2835
Revision\t: c03111
Serial\t\t: 10000000c1fdebba
Model\t\t: Raspberry Pi 4 Model B Rev 1.1
"""
PHONE_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 49.15
Features\t: fp asimd aes pmull sha1 sha2
CPU implementer\t: 0x51

Hardware\t: Qualcomm Technologies, Inc SM8250
"""
BARE_ARM_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""
DUMPSYS_BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  status: 2
  level: 80
  temperature: 274
"""
GHOST = "level: 0\nvoltage: 0\nstatus: Unknown\nnext battery\n"
IDLE = "level: 80\nvoltage: 11000000\nstatus: Not charging\nnext battery\n"
MEMINFO = """\
MemTotal:        3884336 kB
MemFree:         1204880 kB
MemAvailable:    3241180 kB
"""


@pytest.mark.parametrize(
    ("fact", "text", "value"),
    [
        ("machine", "aarch64\n", "aarch64"),
        ("kernel", "6.1.21-v8+\n", "6.1.21-v8+"),
        ("cpu", X86_CPUINFO, "AMD EPYC 9354 32-Core Processor"),
        ("cpu", PI4_CPUINFO, "Raspberry Pi 4 Model B Rev 1.1"),
        ("cpu", PHONE_CPUINFO, "Qualcomm Technologies, Inc SM8250"),
        ("cpu", BARE_ARM_CPUINFO, None),
        ("cpu_features", X86_CPUINFO, "fpu vme sse sse2 avx avx2"),
        ("cpu_features", PI4_CPUINFO, "fp asimd evtstrm crc32 cpuid"),
        ("cpus", "4\n", "4"),
        ("memory_bytes", MEMINFO, str(3884336 * 1024)),
        ("governor", "ondemand\n", "ondemand"),
        ("load_1min", "0.52 0.58 0.59 1/257 12345\n", "0.52"),
        ("battery", DUMPSYS_BATTERY, "80 %, charging, plugged in"),
        ("battery", "level: 41\nstatus: Not charging\n", "41 %, not charging"),
        ("screen", "    mWakefulness=Awake\n", "on"),
        ("screen", "    mWakefulness=Dozing\n", "off"),
        (
            "os_image",
            "Debian GNU/Linux 12\n#1 SMP Debian 6.1\n",
            "Debian GNU/Linux 12; #1 SMP Debian 6.1",
        ),
        (
            "cpufreq",
            "/sys/c\npolicy0 1800000 ondemand 0 1\n",
            "/sys/c;policy0 0,1 1800000 ondemand",
        ),
        (
            "cpufreq",
            "/sys/c\npolicy0 1800000 schedutil 0 1 2 3\npolicy4 2400000 performance 4 5\n",
            "/sys/c;policy0 0,1,2,3 1800000 schedutil;policy4 4,5 2400000 performance",
        ),
        ("cpufreq", "/sys/c\npolicy0\n", None),
        ("cpufreq", "/sys/c\n", None),
        ("cpufreq", "/sys/c\npolicy0 1500 ondemand 0\n", "/sys/c;policy0 0 1500 ondemand"),
        ("clock_doubts", "/c\npolicy0 1500 o 0\n", "clock policy0 reads 1500 o 0"),
        ("clock_doubts", "/c\npolicy0 1500000 o 0\n", None),
        ("clock_doubts", "/c\npolicy0 1 kHz o 0\n", "clock policy0 reads 1 kHz o 0"),
        (
            "throttle_source",
            "!vcgencmd get_throttled\nthrottled=0x50000\n",
            "!vcgencmd get_throttled",
        ),
        ("throttle_source", "/sys/f/get_throttled\n50005\n", "/sys/f/get_throttled"),
        ("throttle_source", "/sys/f/get_throttled\nffffffff\n", None),
        ("throttle_doubts", "/sys/f\nffffffff\n", "the throttling flags read ffffffff"),
        ("throttle_doubts", "/sys/f/get_throttled\n0\n", None),
        ("battery", "level: 400\nscale: 500\nstatus: 2\n", "80 %, charging"),
        ("battery", "level: 400\nscale: 0\nstatus: 2\n", None),
        ("battery", "level: 50\nstatus: 1\n", "50 %"),
        ("battery", "level: 50\nstatus: Unknown\n", "50 %"),
        ("battery", f"{GHOST}level: 41\nstatus: Discharging\n", "41 %, discharging"),
        ("battery", f"{IDLE}level: 7\nstatus: Discharging\n", "80 %, discharging"),
        ("battery", f"{IDLE}level: 7\nstatus: Charging\n", "80 %, charging"),
        (
            "battery_doubts",
            "level: 50\ntemperature: 27\n",
            "battery reports a temperature of 27 tenths of a degree",
        ),
        ("battery_doubts", "level: 255\n", "battery reports a level of 255 of 100"),
        (
            "battery",
            DUMPSYS_BATTERY.replace("status: 2", "present: false\n  status: 1"),
            None,
        ),
        (
            "battery_doubts",
            DUMPSYS_BATTERY.replace("status: 2", "present: false\n  status: 1"),
            "battery is not there",
        ),
        ("battery", "level: 0\nvoltage: 0\nstatus: Unknown\n", None),
        ("battery", "level: 255\nstatus: Unknown\n", None),
        ("battery_c", DUMPSYS_BATTERY, "27.4"),
        ("battery_c", "  temperature: 0\n", None),
        ("battery_c", "  temperature: 27\n", None),
    ],
)
def test_a_fact_is_parsed_from_the_output_of_its_command(
    fact: str, text: str, value: str | None
) -> None:
    assert PARSERS[fact](text) == value


@pytest.mark.parametrize("fact", PARSERS)
@pytest.mark.parametrize("text", ["", "\n", " \t\n"], ids=repr)
def test_empty_output_makes_an_unknown_fact(fact: str, text: str) -> None:
    assert PARSERS[fact](text) is None


@pytest.mark.parametrize("fact", ["cpu", "cpu_features", "memory_bytes"])
@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        ":::\n:\n",
        "cat: /proc/cpuinfo: Permission denied",
        "MemTotal:\n",
        "MemTotal: lots kB\n",
        "MemTotal: -\n",
        "flags\t\t:\nmodel name\t:\n",
        "Features\t: \nModel\t\t: \nHardware\t:\n",
        "\0\ufffd\n",
    ],
    ids=repr,
)
def test_nonsense_makes_an_unknown_fact(fact: str, text: str) -> None:
    assert PARSERS[fact](text) is None


def test_fact_names_are_unique() -> None:
    assert len(PARSERS) == len(FACTS)


def test_facts_with_one_command_share_its_run() -> None:
    script = build_facts_script()
    assert script.count("cat /proc/cpuinfo") == 1
    facts = read_facts("\x1ebattery battery_c machine\n  level: 50\n  temperature: 300\n")
    assert (facts["battery"], facts["battery_c"]) == ("50 %", "30")


@pytest.mark.parametrize(
    "filler",
    [" ", "\n", " \n", "a", "a=", "a=/b ", "=/", "1 a=/b\n", "policy1 ", "0-9,", "x_A", "core 1 "],
    ids=repr,
)
def test_a_long_answer_is_read_quickly(filler: str) -> None:
    answer = filler * (50_000 // len(filler))
    for fact in FACTS:
        with bounded_time():
            facts = read_facts(f"\x1e{fact.name}\n{answer}")
            find_sensors(facts)
            choose_cpus("big", {**facts, "taskset": "yes"}, threads=1)


@settings(deadline=1000)
@given(st.text())
def test_any_output_gives_text_or_an_unknown_fact(text: str) -> None:
    for fact in FACTS:
        value = fact.parse(text)
        assert value is None or value.strip()
    assert all(value.strip() for value in read_facts(text).values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(PARSERS)), st.text(st.characters(exclude_characters="\x1e"))
        )
    )
)
def test_each_part_of_the_output_is_parsed_by_its_own_parser(
    parts: list[tuple[str, str]],
) -> None:
    printed = "noise" + "".join(f"\x1e{name}\n{text}" for name, text in parts)
    expected = {name: PARSERS[name](text) for name, text in parts}
    assert read_facts(printed) == {
        name: value for name, value in expected.items() if value is not None
    }


@given(
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.text("abc/-", min_size=1),
)
def test_free_space_is_the_fourth_column_of_df(
    total: int, used: int, free: int, device: str
) -> None:
    header = "Filesystem 1K-blocks Used Available Use% Mounted on"
    printed = f"{header}\n{device} {total} {used} {free} 7% /data\n"
    assert PARSERS["free_bytes"](printed) == str(free * 1024)


@pytest.mark.parametrize(
    ("machine", "bits", "android", "expected"),
    [
        ("x86_64", "64", False, "x86_64"),
        ("aarch64", "64", False, "aarch64"),
        ("aarch64", "64", True, "android-arm64"),
        ("aarch64", "32", False, "aarch32"),
        ("armv7l", "32", False, "aarch32"),
        ("armv8l", "64", False, "aarch32"),
        ("riscv64", "64", False, None),
        ("", "", False, None),
    ],
)
def test_the_abi_is_that_of_the_userland_not_of_the_chip(
    machine: str, bits: str, *, android: bool, expected: str | None
) -> None:
    facts = {"machine": machine, "userland_bits": bits, **({"android": "14"} if android else {})}
    assert abi_of(facts) == expected
