import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.sensors import Kind, Sensor
from harness.bench.watch import (
    Reading,
    build_reading_script,
    explain_wait,
    format_header,
    parse_reading,
    read_idle_power_uw,
    summarise_sensors,
)
from harness.core.bench import Gates, SensorSummary
from tests.processor_time import bounded_time

KINDS: list[Kind] = [
    "temperature",
    "frequency",
    "any_frequency",
    "throttled",
    "power_uw",
    "power_w",
    "pmic",
]
KINDS += ["current_ua", "voltage_uv", "current_ma", "voltage_mv"]
SENSORS = [
    Sensor("temperature", "/t0"),
    Sensor("temperature", "/t1"),
    Sensor("frequency", "/f"),
    Sensor("power_uw", "/p"),
]
RUN = """\
at 100.00 40000 41000 600000 1000000
cpu 100.01 1000 0 500 9000 100 0 10 0 0 0
0m0.01s 0m0.00s
0m0.00s 0m0.00s
at 101.01 52000 -40000 1500000 3000000
at 102.01 55000 - 1300000 3200000
at 103.01 54000 0 1400000 3400000
cpu 104.01 1420 0 520 9350 110 0 20 10 0 0
0m0.02s 0m0.01s
0m3.90s 0m0.10s
at 104.02 50000 49000 600000 1500000
"""
WHOLE = format_header(SENSORS) + RUN
PMIC = (
    "3V3_SYS_A,current(1)=0.5A,VDD_CORE_A,current(7)=2.0A,"
    "3V3_SYS_V,volt(9)=3.3V,VDD_CORE_V,volt(15)=0.8V,EXT5V_V,volt(24)=5.1V"
)
DUMPSYS = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  status: 2
  level: 80
"""


def test_the_sensors_of_a_run_are_summarised() -> None:
    summary = summarise_sensors(WHOLE, 3.0)
    assert (summary.temperature_c, summary.frequency_khz) == (55.0, 1_400_000)
    assert summary.throttled is None
    assert summary.busy == pytest.approx((4.6 - 4.02) / 8.2)
    assert summary.power_uw == pytest.approx(3_200_000)


def test_samples_right_before_and_after_the_tool_do_not_count_for_clock_and_power() -> None:
    text = RUN.replace("at 100.00", "at 100.01").replace("at 104.02", "at 104.01")
    assert summarise_sensors(format_header(SENSORS) + text, 100.0) == summarise_sensors(
        WHOLE, 100.0
    )


@pytest.mark.parametrize(
    ("runs_s", "power_uw"),
    [(None, None), (0.5, None), (1.5, None), (2.0, 3_300_000), (1000.0, 3_200_000)],
)
def test_power_is_averaged_over_the_inferences(
    runs_s: float | None, power_uw: float | None
) -> None:
    assert summarise_sensors(WHOLE, runs_s).power_uw == power_uw


def test_idle_power_is_averaged_over_all_samples() -> None:
    text = format_header([Sensor("power_w", "!plug")]) + "at 1.0 2.5\nat 1.5 -\nat 2.0 3.5\n"
    assert read_idle_power_uw(text) == 3_000_000
    assert read_idle_power_uw(text.replace("3.5", "-")) is None


@pytest.mark.parametrize(
    ("currents", "power_uw"),
    [
        (("-400000", "-410000"), 1_620_000),
        (("-400000", "900000"), None),
        (("-400000", "5000"), 810_000),
    ],
    ids=["discharged", "plugged in", "noise"],
)
def test_a_phone_that_was_plugged_in_meanwhile_has_no_known_power(
    currents: tuple[str, str], power_uw: float | None
) -> None:
    header = format_header([Sensor("current_ua", "/c"), Sensor("voltage_uv", "/v")])
    samples = (f"at {number}.0 {current} 4000000\n" for number, current in enumerate(currents))
    assert read_idle_power_uw(header + "".join(samples)) == power_uw


def make_text(sensor_kinds: list[Kind], *values: str) -> str:
    """Return a text with four identical samples while the tool ran."""
    samples = "".join(f"at {second}.5 {' '.join(values)}\n" for second in (1, 2, 3, 4))
    start, end = (
        f"cpu {second}.0 1 1 1 1 1 1 1 1\n0m0.0s 0m0.0s\n0m0.0s 0m0.0s\n" for second in (1, 9)
    )
    return format_header([Sensor(kind, "/") for kind in sensor_kinds]) + start + samples + end


@pytest.mark.parametrize(
    ("kinds", "values", "power_uw"),
    [
        (["power_uw"], ["2500000"], 2_500_000),
        (["power_uw", "power_uw"], ["2500000", "500000"], 3_000_000),
        (["power_uw", "power_uw"], ["2500000", "-"], None),
        (["current_ua", "voltage_uv"], ["-650000", "4000000"], 2_600_000),
        (["current_ua", "voltage_uv"], ["-650000", "-"], None),
        (
            ["current_ma", "voltage_mv", "current_ma", "voltage_mv"],
            ["700", "5000", "100", "3300"],
            3_830_000,
        ),
        (["power_w"], ["3.5"], 3_500_000),
        (["power_w"], ["3.5,W"], 3_500_000),
        (["power_w"], ["3.5e-1W"], 350_000),
        (["power_w"], ["3.5,mW"], None),
        (["power_w"], ["no,plug,found"], None),
        (["pmic"], [PMIC], 0.5 * 3.3e6 + 2.0 * 0.8e6),
        (["pmic"], ['error=1,error_msg="Command,not,registered"'], None),
        (["temperature"], ["40000"], None),
    ],
)
def test_power_is_the_sum_over_all_sensors(
    kinds: list[Kind], values: list[str], power_uw: float | None
) -> None:
    assert summarise_sensors(make_text(kinds, *values), 100.0).power_uw == (
        None if power_uw is None else pytest.approx(power_uw)
    )


@pytest.mark.parametrize(
    ("flags", "throttled"),
    [
        ("0", False),
        ("0x0", False),
        ("50000", False),
        ("throttled=0x50000", False),
        ("throttled=0x50005", True),
        ("8", True),
        ("80008", True),
        ("-", None),
        ("vchi,initialization,failed", None),
    ],
)
def test_only_the_current_throttling_flags_count(flags: str, *, throttled: bool | None) -> None:
    assert summarise_sensors(make_text(["throttled"], flags)).throttled is throttled


@pytest.mark.parametrize(
    ("kind", "reading", "temperature_c"),
    [
        ("temperature", "61500", 61.5),
        ("temperature_tenth_c", "654", 65.4),
        ("temperature_c", "71", 71.0),
        ("temperature", "71", None),
        ("temperature_c", "255", None),
        ("temperature", "200000", None),
        ("temperature", "-40000", None),
    ],
)
def test_a_temperature_is_read_in_its_sensors_unit(
    kind: Kind, reading: str, temperature_c: float | None
) -> None:
    assert summarise_sensors(make_text([kind], reading)).temperature_c == temperature_c


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        (["power_uw", "power_uw"], ["0", "0"]),
        (["power_w"], ["5000"]),
        (["current_ma", "voltage_uv"], ["0", "3987000"]),
    ],
)
def test_a_power_that_no_device_takes_is_unknown(kinds: list[Kind], values: list[str]) -> None:
    assert summarise_sensors(make_text(kinds, *values), 100.0).power_uw is None


def test_an_impossible_clock_or_flag_is_unknown() -> None:
    assert summarise_sensors(make_text(["frequency"], "0")).frequency_khz is None
    assert summarise_sensors(make_text(["throttled"], "ffffffff")).throttled is None


@pytest.mark.parametrize(
    ("kinds", "values", "khz"),
    [
        (["frequency", "frequency"], ["1800000", "600000"], 600_000),
        (["frequency", "frequency"], ["1800000", "-"], 1_800_000),
        (["any_frequency", "any_frequency"], ["1800000", "600000"], 1_800_000),
        (["frequency"], ["-"], None),
    ],
)
def test_the_clock_belongs_to_the_slowest_core_in_use(
    kinds: list[Kind], values: list[str], khz: float | None
) -> None:
    assert summarise_sensors(make_text(kinds, *values)).frequency_khz == khz


def test_the_harness_own_cpu_time_does_not_count_as_busy() -> None:
    tool_alone = RUN.replace("1420 0 520", "1400 0 500").replace("20 10 0 0", "10 0 0 0")
    assert summarise_sensors(format_header(SENSORS) + tool_alone).busy == 0.0
    assert (
        summarise_sensors(format_header(SENSORS) + tool_alone.replace("0m3.90s", "1m3.90s")).busy
        == 0.0
    )


@pytest.mark.parametrize(
    "text",
    ["", "\n", "sensors\n", "sensors temperature\n", RUN.partition("\n")[0], "at 1.0\ncpu 1\n"],
)
def test_a_text_without_samples_gives_unknown_values(text: str) -> None:
    assert summarise_sensors(text, 1.0) == SensorSummary()


@given(st.integers(0, len(WHOLE)), st.floats(0, 10))
def test_a_text_that_was_cut_off_gives_no_wrong_numbers(end: int, runs_s: float) -> None:
    """Each complete sample is one of the whole text."""
    summary = summarise_sensors(WHOLE[:end], runs_s)
    assert summary.temperature_c in (None, 41.0, 52.0, 55.0)
    assert summary.busy in (None, summarise_sensors(WHOLE).busy)
    assert summary.frequency_khz in (None, 1_400_000)
    assert summary.power_uw is None or 3_000_000 <= summary.power_uw <= 3_400_000


@given(st.text(), st.floats(0, 1e6) | st.none())
def test_random_text_raises_nothing(text: str, runs_s: float | None) -> None:
    summarise_sensors(text, runs_s)
    read_idle_power_uw(text)
    parse_reading(text)


@pytest.mark.parametrize(
    "filler", [" ", "a", "at 1.0 ", "at 1.0 1\n", "cpu 1.0 1 ", "x_A", "level: \n", "0_A,volt("]
)
def test_a_long_text_is_read_quickly(filler: str) -> None:
    text = "sensors pmic\n" + filler * (50_000 // len(filler))
    with bounded_time():
        summarise_sensors(text, 1.0)
        read_idle_power_uw(text)
        parse_reading(text)


readings = st.one_of(
    st.sampled_from(["-", "0", "45000", "throttled=0x50005", PMIC, "3.5e-1"]),
    st.text(st.characters(blacklist_categories=["Cc", "Cs", "Z"]), min_size=1),
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), readings), max_size=6), st.floats(0, 100))
def test_any_reading_gives_a_sensible_number_or_an_unknown_value(
    sensors: list[tuple[Kind, str]], runs_s: float
) -> None:
    text = make_text([kind for kind, _ in sensors], *(value for _, value in sensors))
    summary = summarise_sensors(text, runs_s)
    assert summary.temperature_c is None or summary.temperature_c > 0
    assert summary.power_uw is None or summary.power_uw >= 0
    assert summary.busy == 0 or summary.busy is None


@given(st.floats(0, 1), st.integers(1, 64), st.integers(100, 100_000))
def test_busy_is_the_share_of_all_cores_time(share: float, cores: int, jiffies: int) -> None:
    total = cores * jiffies
    used = round(share * total)
    times = "0m0.00s 0m0.00s\n0m0.00s 0m0.00s\n"
    start = f"cpu 1.0 0 0 0 0 0 0 0 0\n{times}"
    end = f"cpu 2.0 {used} 0 0 {total - used} 0 0 0 0\n{times}"
    text = f"sensors\n{start}{end}"
    assert summarise_sensors(text).busy == pytest.approx(used / total)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("", Reading()),
        (WHOLE, Reading(55.0, summarise_sensors(WHOLE).busy)),
        (DUMPSYS, Reading(battery_percent=80, charging=True)),
        (DUMPSYS.replace("status: 2", "status: 3"), Reading(battery_percent=80, charging=False)),
        (DUMPSYS.replace("status: 2", "present: false"), Reading()),
        ("    mWakefulness=Awake\n    mWakefulnessChanging=false\n", Reading(screen_on=True)),
        ("    mWakefulness=Asleep\n", Reading(screen_on=False)),
        ("    mWakefulness=Dozing\n", Reading(screen_on=False)),
    ],
)
def test_a_reading_is_parsed(text: str, reading: Reading) -> None:
    assert parse_reading(text) == reading


def test_battery_and_screen_are_read_on_phones_only() -> None:
    assert "dumpsys" in build_reading_script((), {"android": "14"})
    assert "dumpsys" not in build_reading_script((), {})
    assert "power_supply" in build_reading_script((), {"battery": "63 %, discharging"})


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Reading(), ""),
        (
            Reading(
                60.0, 0.1, throttled=False, battery_percent=20, charging=False, screen_on=False
            ),
            "",
        ),
        (Reading(temperature_c=71.0), "71 °C, over 60 °C"),
        (Reading(temperature_c=60.4), "60.4 °C, over 60 °C"),
        (Reading(busy=0.35), "others use 35 % of its CPU time, over 10 %"),
        (Reading(battery_percent=12, charging=True), "battery at 12 %"),
        (Reading(screen_on=True), "its screen is on"),
        (Reading(throttled=True), "it reports throttling"),
        (
            Reading(temperature_c=71.0, throttled=True),
            "71 °C, over 60 °C and it reports throttling",
        ),
    ],
)
def test_the_reason_to_wait_is_explained(reading: Reading, reason: str) -> None:
    assert explain_wait(reading, Gates()) == reason


def test_a_charging_device_may_start_unless_the_gates_require_unplugged() -> None:
    assert explain_wait(Reading(charging=True), Gates()) == ""
    assert explain_wait(Reading(charging=True), Gates(unplugged=True)) == "it is charging"
    assert explain_wait(Reading(), Gates(unplugged=True)) == "", "unknown values stop nothing"
