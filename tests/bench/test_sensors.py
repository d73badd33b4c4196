import pytest

from harness.bench.sensors import (
    MAX_CLOCKS,
    Sensor,
    choose_cpus,
    find_cpus_off,
    find_sensors,
    select_power_sensors,
)

FOLDER = "/sys/devices/system/cpu/cpufreq"
PI4 = {"taskset": "yes", "cpufreq": f"{FOLDER};policy0 0,1,2,3 1800000 ondemand"}
PHONE = {
    "taskset": "yes",
    "cpufreq": f"{FOLDER};policy0 0,1,2,3 1800000 schedutil;policy4 4,5,6 2420000 schedutil;"
    "policy7 7 2840000 schedutil",
}
EVEN = {
    "taskset": "yes",
    "cpufreq": f"{FOLDER};policy0 0 3000000 performance;policy1 1 3000000 performance",
}
MANY_CORES = {
    "cpufreq": ";".join((FOLDER, *(f"policy{cpu} {cpu} 3000000 performance" for cpu in range(64))))
}


@pytest.mark.parametrize(("facts", "cores"), [(PHONE, (7,)), (PI4, ()), (EVEN, ()), ({}, ())])
def test_big_cores_are_the_ones_with_the_highest_clock(
    facts: dict[str, str], cores: tuple[int, ...]
) -> None:
    assert choose_cpus("big", {**facts, "taskset": "yes"}, threads=1) == cores


@pytest.mark.parametrize(
    ("cpus", "facts", "threads", "bound_to"),
    [
        ("big", PHONE, 1, (7,)),
        ("big", PHONE, 2, (4, 5, 6, 7)),
        ("big", PHONE, 4, (4, 5, 6, 7)),
        ("big", PHONE, 5, ()),
        ("big", {"cpufreq": PHONE["cpufreq"]}, 1, ()),
        ("big", PI4, 1, ()),
        ("all", PHONE, 1, ()),
        ((0, 1), PHONE, 4, (0, 1)),
        ((0, 1), {}, 1, (0, 1)),
        ((), PHONE, 1, ()),
    ],
)
def test_a_tool_is_bound_to_just_enough_of_the_fastest_cores(
    cpus: tuple[int, ...], facts: dict[str, str], threads: int, bound_to: tuple[int, ...]
) -> None:
    assert choose_cpus(cpus, facts, threads=threads) == bound_to


ODROID_N2 = {
    "taskset": "yes",
    "cpufreq": f"{FOLDER};policy0 0,1 1896000 schedutil;policy2 2,3,4,5 1800000 schedutil",
}
SAME_CAPACITY = {"cpu_capacity": "1024 0-5"}


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(
    "evidence",
    [
        {"cpu_capacity": "417 0-1;1024 2-5"},
        {"cpu_parts": "Cortex-A53 0-1;Cortex-A73 2-5"},
        {**SAME_CAPACITY, "cpu_parts": "Cortex-A53 0-1;Cortex-A73 2-5"},
        {"cpu_capacity": "417 0-1;1024 2-5", "cpu_parts": "Cortex-A73 0-1;Cortex-A53 2-5"},
    ],
    ids=["capacity", "microarchitecture", "equal capacity", "capacity decides"],
)
def test_little_cores_with_the_higher_clock_are_not_the_big_ones(
    evidence: dict[str, str], threads: int
) -> None:
    assert choose_cpus("big", {**ODROID_N2, **evidence}, threads=threads) == (2, 3, 4, 5)


@pytest.mark.parametrize(
    "evidence",
    [{"cpu_parts": "Cortex-A53 0-1;41:fff 2-5"}, SAME_CAPACITY],
    ids=["an unknown part", "equal capacities"],
)
def test_evidence_about_some_cores_only_does_not_count(evidence: dict[str, str]) -> None:
    assert choose_cpus("big", {**ODROID_N2, **evidence}, threads=1) == (0, 1)


@pytest.mark.parametrize(
    ("online", "threads", "bound_to"),
    [("0-3", 1, ()), ("0-6", 1, (4, 5, 6)), ("0-3,7", 1, (7,)), ("0-3,5,7", 2, (5, 7))],
)
def test_cores_that_are_off_are_never_bound_to(
    online: str, threads: int, bound_to: tuple[int, ...]
) -> None:
    facts = {**PHONE, "cpus_online": online}
    assert choose_cpus("big", facts, threads=threads) == bound_to


def test_named_cores_that_are_off_are_found() -> None:
    assert find_cpus_off((0, 4, 9), {**PHONE, "cpus_online": "0-3"}) == (4, 9)
    assert find_cpus_off((0, 4, 9), PHONE) == (9,)
    assert find_cpus_off((0, 4), {}) == (), "unknown cores refuse nothing"


@pytest.mark.parametrize(
    ("facts", "cpus", "kinds"),
    [
        (PI4, (), [("frequency", 0)]),
        (PHONE, (7,), [("frequency", 7)]),
        (PHONE, (4, 7), [("frequency", 4), ("frequency", 7)]),
        (PHONE, (), [("any_frequency", 0), ("any_frequency", 4), ("any_frequency", 7)]),
        (MANY_CORES, (), []),
        (MANY_CORES, (3,), [("frequency", 3)]),
    ],
)
def test_the_clocks_of_the_cores_in_use_are_sampled(
    facts: dict[str, str], cpus: tuple[int, ...], kinds: list[tuple[str, int]]
) -> None:
    sensors = [(sensor.kind, sensor.source) for sensor in find_sensors(facts, cpus)]
    assert sensors == [
        (kind, f"{FOLDER}/policy{policy}/scaling_cur_freq") for kind, policy in kinds
    ]
    assert len(sensors) <= MAX_CLOCKS


def test_the_sensors_follow_from_the_facts() -> None:
    facts = {
        "thermal_zones": "cpu-thermal=/sys/class/thermal/thermal_zone0/temp;"
        "soc=/sys/class/thermal/thermal_zone1/temp",
        "throttle_source": "!vcgencmd get_throttled",
        "power_sensors": "current_ua=/sys/b/current_now;voltage_uv=/sys/b/voltage_now",
    }
    assert find_sensors(facts) == (
        Sensor("temperature", "/sys/class/thermal/thermal_zone0/temp"),
        Sensor("temperature", "/sys/class/thermal/thermal_zone1/temp"),
        Sensor("throttled", "!vcgencmd get_throttled"),
        Sensor("current_ua", "/sys/b/current_now"),
        Sensor("voltage_uv", "/sys/b/voltage_now"),
    )
    assert [sensor.kind for sensor in select_power_sensors(find_sensors(facts))] == [
        "current_ua",
        "voltage_uv",
    ]
    assert find_sensors({}) == ()


def test_a_zone_is_read_in_its_own_unit() -> None:
    zones = "tsens 1 temperature_tenth_c=/t0;cpu temperature_c=/t1;INT3400 Thermal=/t2"
    assert find_sensors({"thermal_zones": zones}) == (
        Sensor("temperature_tenth_c", "/t0"),
        Sensor("temperature_c", "/t1"),
        Sensor("temperature", "/t2"),
    )


def test_the_users_power_command_has_priority_and_a_short_timeout() -> None:
    facts = {"power_sensors": "power_uw=/sys/hwmon0/power1_input", "timeout": "yes"}
    assert find_sensors(facts, (), power_command="read-plug | tail -1") == (
        Sensor("power_w", "!timeout 5 sh -c 'read-plug | tail -1'"),
    )
    assert find_sensors({}, (), power_command="first\nsecond\n") == (
        Sensor("power_w", "!first; second"),
    )
