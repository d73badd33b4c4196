import pytest

from harness.bench.facts import FACTS

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
    ],
)
def test_a_fact_is_read_from_what_its_command_prints(fact: str, text: str, value: str | None) -> None:
    assert PARSERS[fact](text) == value


@pytest.mark.parametrize("fact", PARSERS)
@pytest.mark.parametrize("text", ["", "\n", " \t\n"], ids=repr)
def test_nothing_printed_is_nothing_known(fact: str, text: str) -> None:
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
def test_nonsense_is_nothing_known(fact: str, text: str) -> None:
    assert PARSERS[fact](text) is None


def test_every_fact_has_a_name_of_its_own() -> None:
    assert len(PARSERS) == len(FACTS)
