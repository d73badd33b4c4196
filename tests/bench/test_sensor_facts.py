"""Sensors as devices have them: in their own units, stuck, off, or of something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.readings import find_temperature_kind, read_temperature_c
from harness.bench.sensor_facts import (
    MAX_TEMPERATURES,
    parse_power_doubts,
    parse_power_sensors,
    parse_temperature_c,
    parse_temperature_doubts,
    parse_thermal_zones,
)


def zones(**readings: str) -> str:
    """Return what the command prints for zones of these types."""
    types = (name.replace("__", "-") for name in readings)
    lines = zip(readings.values(), types, strict=True)
    return "".join(f"{type}=/{type}/temp {reading}\n" for reading, type in lines)


@pytest.mark.parametrize(
    ("text", "temperature_c", "watched"),
    [
        (zones(cpu_thermal="61500", gpu_thermal="99000"), "61.5", "cpu_thermal=/cpu_thermal/temp"),
        (zones(cpu_thermal="71"), "71", "cpu_thermal temperature_c=/cpu_thermal/temp"),
        (zones(cpu_thermal="654"), "65.4", "cpu_thermal temperature_tenth_c=/cpu_thermal/temp"),
        (
            zones(tsens0="98", tsens1="640", pm8994_tz="37000", battery="31500"),
            "64",
            "tsens0 temperature_tenth_c=/tsens0/temp;tsens1 temperature_tenth_c=/tsens1/temp",
        ),
        (zones(cpu0="45000", cpu1="0", cpu2="-"), "45", "cpu0=/cpu0/temp"),
        (zones(cpu0="45", soc_thermal="44000"), "45", "cpu0 temperature_c=/cpu0/temp"),
        (zones(cpu="45000 mC"), None, None),
        ("cpu;a=b 0=/z 1/temp 45000\n", "45", "cpu_a_b_0=/z 1/temp"),
        (zones(acpitz="27800", iwlwifi_1="50000"), "27.8", "acpitz=/acpitz/temp"),
        (zones(soc="63", socd="37"), None, None),
        (zones(cpu="0"), None, None),
        (zones(cpu="-40000"), None, None),
        (zones(cpu="-274000"), None, None),
        (zones(cpu="4"), None, None),
        (zones(cpu="125000"), None, None),
        (zones(cpu="200000"), None, None),
        (zones(cpu="2147483647"), None, None),
        (zones(cpu="warm"), None, None),
    ],
)
def test_cores_are_as_warm_as_their_believable_zones(
    text: str, temperature_c: str | None, watched: str | None
) -> None:
    assert parse_temperature_c(text) == temperature_c
    assert parse_thermal_zones(text) == watched


def test_the_hottest_of_too_many_zones_are_watched() -> None:
    text = "".join(
        f"cpu{number}=/z{number}/temp {30_000 + 100 * number}\n" for number in range(300)
    )
    watched = parse_thermal_zones(text)
    assert watched is not None
    assert watched.count(";") == MAX_TEMPERATURES - 1
    assert watched.endswith("cpu299=/z299/temp")
    assert parse_temperature_doubts(text) == (
        "300 thermal zones are too many: only the 256 hottest are watched"
    )


def test_zones_that_are_not_believed_are_named_with_the_reason() -> None:
    text = zones(cpu0="45000", cpu1="200000", cpu2="-", cpu3="-", cpu4="-", cpu5="-", gpu="0")
    assert parse_temperature_doubts(text) == (
        "cpu1 reads 200000, not 5 to 120 °C in the unit of such zones; "
        "cpu2, cpu3, cpu4 and 1 more can't be read"
    )
    assert parse_temperature_doubts(zones(cpu0="45000")) is None


@given(st.floats(13, 119), st.sampled_from([1, 10, 1000]))
def test_a_chips_temperature_is_right_in_each_unit(degrees: float, steps_per_c: int) -> None:
    reading = str(round(degrees * steps_per_c))
    kind = find_temperature_kind([reading])
    assert kind is not None
    assert read_temperature_c(kind, reading) == pytest.approx(degrees, abs=0.51)


@pytest.mark.parametrize(
    ("text", "sensors"),
    [
        (
            "battery 3987000 -412000 current=/b/current_now",
            "current_ua=/b/current_now;voltage_uv=/b/voltage_now",
        ),
        (
            "battery 3987000 -412 current=/b/current_now",
            "current_ma=/b/current_now;voltage_uv=/b/voltage_now",
        ),
        (
            "battery 3987 412 current=/b/current_now",
            "current_ma=/b/current_now;voltage_mv=/b/voltage_now",
        ),
        (
            "battery 11400000 1200000 current=/b/current_now",
            "current_ua=/b/current_now;voltage_uv=/b/voltage_now",
        ),
        ("battery 3900000 1640000 power=/b/power_now", "power_uw=/b/power_now"),
        ("battery 3900000 1640 power=/b/power_now", "power_mw=/b/power_now"),
        ("battery 11400000 60000 power=/b/power_now", "power_mw=/b/power_now"),
        (
            "battery 3987000 0 current=/b/current_now\nrails 5000000 power_uw=/r",
            "power_uw=/r",
        ),
        ("rails 5000000 power_uw=/a\nrails 0 power_uw=/b", "power_uw=/a;power_uw=/b"),
        (
            "rails 300 current_ma=/a\nrails 5000 voltage_mv=/b\n"
            "total 700 current_ma=/c\ntotal 5000 voltage_mv=/d",
            "current_ma=/c;voltage_mv=/d",
        ),
        ("pmic - pmic=!vcgencmd pmic_read_adc", "pmic=!vcgencmd pmic_read_adc"),
        ("rails 5 volume=/a", None),
        ("", None),
    ],
)
def test_power_is_read_in_the_units_that_make_it_believable(text: str, sensors: str | None) -> None:
    assert parse_power_sensors(text) == sensors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("battery 3987000 0 current=/s/bat0/current_now", "bat0 reads voltage_now 3987000"),
        ("battery - -412 current=/s/bat0/current_now", "bat0 reads voltage_now -"),
        ("battery 0 -412 current=/s/bat0/current_now", "no unit is certain"),
        ("battery 3987000 11000 current=/s/bat0/current_now", "no unit is certain"),
        ("battery 4000000 -9000 current=/s/bat0/current_now", "no unit is certain"),
        (
            "battery 4000000 -412000 current=/s/battery/current_now\n"
            "battery 4000000 -412000 current=/s/maxfg/current_now",
            "maxfg reads the same as battery: both may be one battery",
        ),
        ("rails 0 power_uw=/a\nrails 0 power_uw=/b", "power of rails reads 0, 0"),
        ("rails 3000000 power_uw=/a\nrails - power_uw=/b", "power of rails reads 3000000, -"),
        ("rails 3000000 power_uw=/a\nrails 2 uW power_uw=/b", "power of rails reads 3000000, 2 uW"),
        (
            "battery 4000000 -412000 current=/s/bat0/current_now\n"
            "battery 4000000 500 mA current=/s/bat1/current_now",
            "bat1 reads voltage_now 4000000, current_now 500 mA: no unit is certain",
        ),
        ("battery - - current=/s/bat0/current_now", "bat0 reads voltage_now -, current_now -"),
        ("part amdgpu\npart amdgpu", "amdgpu measures the power of a part, not of the device"),
    ],
    ids=[
        "at rest",
        "no voltage",
        "no battery",
        "11 A or 11 mA",
        "9 A or 9 mA",
        "one battery twice",
        "rails of 0 W",
        "a rail that can't be read",
        "a rail with words",
        "a battery with words",
        "a battery that can't be read",
        "a graphics card",
    ],
)
def test_power_that_is_not_believed_is_named_and_not_used(text: str, words: str) -> None:
    assert parse_power_sensors(text) is None
    assert words in str(parse_power_doubts(text))
