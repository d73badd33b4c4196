"""The cores that are on, and their kinds, from what kernels print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.cores import (
    format_cpus,
    group_by_speed,
    parse_cpu_capacity,
    parse_cpu_parts,
    parse_cpus,
    parse_cpus_offline,
    parse_cpus_online,
)

CPUINFO = """\
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd03

processor\t: 1
CPU implementer\t: 0x51
CPU part\t: 0x804
processor\t: 2
CPU implementer\t: 0x41
CPU part\t: 0xfff
"""


@pytest.mark.parametrize(
    ("text", "online", "offline"),
    [
        ("online 0-3\ncore 0 1 417 -\ncore 4 1 1024 -\nrunning 0\n", "0-3", "4"),
        ("core 0 1 417 -\ncore 1 0 417 -\nrunning 0\nrunning 1\n", "0", "1"),
        ("core 0 - - -\nrunning 0\nrunning 1\n", "0-1", None),
        ("core 0 - 417 -\ncore 1 - 1024 -\nrunning 0\n", "0-1", None),
        ("running 0\nrunning 1\nrunning 4\n", "0-1,4", None),
        ("online 0-7\nallowed 0-3\n", "0-3", None),
        ("online 0-99999999\n", None, None),
        ("online \n", None, None),
    ],
)
def test_the_kernel_says_which_cores_are_on(
    text: str, online: str | None, offline: str | None
) -> None:
    assert parse_cpus_online(text) == online
    assert parse_cpus_offline(text) == offline


def test_capacities_and_parts_are_grouped() -> None:
    text = "core 0 1 417 0x00000000410fd034\ncore 1 1 417 -\ncore 2 1 1024 0x410fd092\n"
    assert parse_cpu_capacity(text) == "417 0-1;1024 2"
    assert parse_cpu_parts(text) == "Cortex-A53 0;Cortex-A73 2"
    assert parse_cpu_parts(CPUINFO) == "Cortex-A53 0;Kryo-4XX-Gold 1;41:fff 2"


@given(st.sets(st.integers(0, 1023)))
def test_a_list_of_cores_is_read_as_it_was_written(cpus: set[int]) -> None:
    assert parse_cpus(format_cpus(cpus)) == cpus


def test_a_core_without_a_value_has_that_of_its_clocks_other_cores() -> None:
    facts = {
        "cpus_online": "0-3",
        "cpu_capacity": "400 0;1024 2-3",
        "cpufreq": "/c;policy0 0,1 1800000 o;policy2 2,3 1800000 o",
    }
    assert group_by_speed(facts) == [{2, 3}, {0, 1}]


def test_a_clock_does_not_overrule_the_capacity_of_some_cores() -> None:
    facts = {
        "cpus_online": "0-3",
        "cpu_capacity": "1024 2-3",
        "cpufreq": "/c;policy0 0,1 1900000 o;policy2 2,3 1800000 o",
    }
    assert group_by_speed(facts) == [{2, 3}, {0, 1}]
    assert group_by_speed({**facts, "cpu_capacity": "417 0-1"}) == [{2, 3}, {0, 1}]
    by_part = {**facts, "cpu_parts": "Cortex-A76 0-1;Cortex-A55 2-3"}
    assert group_by_speed(by_part)[0] == {0, 1}, "what is known of all cores decides"
