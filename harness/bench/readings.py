"""Readings of sensors: their units, the bounds in which they are believed, and "unknown".

Kernels disagree about units. A thermal zone may count degrees Celsius, tenths or thousandths, and
a battery's current may be in µA or mA. The device's facts decide once on the kind of
each sensor, which names its unit. From then on, the sensor is read in that unit. A reading outside
of its bounds is None, which is unknown.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, get_args

TemperatureKind: TypeAlias = Literal["temperature", "temperature_tenth_c", "temperature_c"]
PowerKind: TypeAlias = Literal[
    "power_uw",
    "power_mw",
    "power_w",
    "current_ua",
    "current_ma",
    "voltage_uv",
    "voltage_mv",
    "pmic",
]
POWER_KINDS: Final[frozenset[str]] = frozenset(get_args(PowerKind))

# The kernel's own unit comes first (Documentation/driver-api/thermal/sysfs-api.rst). Whole degrees
# precede tenths: of two possible readings, the hotter one does no harm.
_STEPS_PER_C: Final[Mapping[str, float]] = {
    "temperature": 1000,
    "temperature_c": 1,
    "temperature_tenth_c": 10,
}
TEMPERATURE_KINDS: Final[frozenset[str]] = frozenset(_STEPS_PER_C)
# A chip that runs is warmer than a cold room, and turns itself off before 120 °C. Sensors that are
# off or stuck show 0, -40, -274, 125, 127, 200 or 255.
COLDEST_C: Final = 5.0
TOO_HOT_C: Final = 120.0
# Batteries stop well before these limits.
_BATTERY_C: Final = (5.0, 80.0)
# From the slowest step of old boards to beyond the fastest core.
_CLOCK_KHZ: Final = (10_000, 10_000_000)
# The bits 0 to 3 and 16 to 19 are defined, see `vcgencmd get_throttled`.
_MAX_THROTTLE_FLAGS: Final = 0xFFFFF

_MILLIONTHS: Final[Mapping[str, float]] = {
    "power_uw": 1,
    "power_mw": 1e3,
    "power_w": 1e6,
    "current_ua": 1,
    "current_ma": 1e3,
    "voltage_uv": 1,
    "voltage_mv": 1e3,
}
# No device that runs a benchmark takes less or more.
_POWER_UW: Final = (1e3, 1e9)
# A phone that is awake draws 50 mW to 40 W from its one cell, a laptop 0.5 to 300 W from its pack.
# A phone that sleeps may draw a tenth of that. A number that could be so in one unit, and right in
# another 1000 times as large, is not believed in either.
_BATTERY_V: Final = (2.0, 60.0)
_PACK_FROM_V: Final = 6.0
_CELL_W: Final = (0.05, 40.0)
_PACK_W: Final = (0.5, 300.0)
_ASLEEP_CELL_W: Final = 0.005
_MAX_PAIR_UW: Final = 300e6  # of a current and a voltage
_LEAST_CURRENT_UA: Final = 20_000  # more than the noise of a rail that is off

_DECIMAL = r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?"
_NUMBER = re.compile(rf"({_DECIMAL}(?:[eE][-+]?[0-9]{{1,2}})?)(?:,?[Ww](?:atts?)?)?")
_THROTTLE_FLAGS = re.compile("(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})")
_RAIL = re.compile(
    r"(\w{1,40})_([AV]),(?:current|volt)\([0-9]{1,4}\)=([0-9]{1,9}(?:\.[0-9]{1,12})?)[AV]"
)


def parse_number(text: str) -> float | None:
    """Return the number that a sensor printed, perhaps with the unit W."""
    match = _NUMBER.fullmatch(text)
    return float(match[1]) if match else None


def read_temperature_c(kind: str, text: str) -> float | None:
    """Return a chip's temperature in °C, or None outside 5 to 120 °C."""
    number = parse_number(text)
    if number is None:
        return None
    degrees = number / _STEPS_PER_C[kind]
    return degrees if COLDEST_C <= degrees < TOO_HOT_C else None


def find_temperature_kind(texts: Sequence[str]) -> str | None:
    """Return the kind in whose unit most of these sensors of one type show a temperature.

    None if no unit makes one of them believable.
    """

    def count_believed(kind: str) -> int:
        return sum(read_temperature_c(kind, text) is not None for text in texts)

    best = max(_STEPS_PER_C, key=count_believed)
    return best if count_believed(best) else None


def read_battery_c(tenths: int) -> float | None:
    """Return a battery's temperature in °C from tenths of it, as Android gives them."""
    lowest, highest = _BATTERY_C
    return tenths / 10 if lowest <= tenths / 10 <= highest else None


def read_clock_khz(text: str) -> float | None:
    """Return a core's clock in kHz, or None outside 10 MHz to 10 GHz."""
    number = parse_number(text)
    lowest, highest = _CLOCK_KHZ
    return number if number is not None and lowest <= number <= highest else None


def read_throttle_flags(text: str) -> int | None:
    """Parse flags such as `0x50005`, `throttled=0x50005` or, in the kernel's file, `50005`."""
    match = _THROTTLE_FLAGS.fullmatch(text)
    flags = int(match[1], 16) if match else None
    return flags if flags is not None and flags <= _MAX_THROTTLE_FLAGS else None


def find_voltage_kind(text: str) -> str | None:
    """Return the kind of a battery's voltage: that of 2 to 60 V."""
    lowest_v, highest_v = _BATTERY_V
    for kind in ("voltage_uv", "voltage_mv"):
        volts = _read_base_unit(kind, text)
        if volts is not None and lowest_v <= volts <= highest_v:
            return kind
    return None


def find_battery_kind(text: str, volts: float, candidates: Iterable[str]) -> str | None:
    """Return the kind of a discharging battery's current or power.

    `volts` is its voltage, which tells a phone from a laptop. Some drivers give mA or mW although
    the kernel's unit is µA or µW (Documentation/ABI/testing/sysfs-class-power). None if the number
    fits no unit, or more than one.
    """
    lowest_w, highest_w = _CELL_W if volts < _PACK_FROM_V else _PACK_W
    asleep_w = _ASLEEP_CELL_W if volts < _PACK_FROM_V else lowest_w
    fitting: dict[str, float] = {}
    for kind in candidates:
        number = _read_base_unit(kind, text)
        if number is None:
            return None
        watts = abs(number) * (volts if kind.startswith("current") else 1.0)
        if asleep_w <= watts <= highest_w:
            fitting[kind] = watts
    if len(fitting) != 1:
        return None
    ((kind, watts),) = fitting.items()
    return kind if watts >= lowest_w else None


def read_volts(kind: str, text: str) -> float:
    """Return a voltage that `find_voltage_kind` has believed."""
    return _read_base_unit(kind, text) or 0.0


def sum_power_uw(readings: Iterable[tuple[str, str]]) -> float | None:
    """Return the power of the sensors' kinds and readings, in µW.

    A current makes a pair with the voltage that follows it; its sign says only whether a battery is
    charged. None if one of the sensors gave nothing, or if the sum is below 1 mW or over 1 kW.
    """
    powers_uw: list[float | None] = []
    current_ua: float | None = None
    for kind, text in readings:
        if kind == "pmic":
            powers_uw.append(_sum_rails_uw(text))
        elif kind.startswith("power"):
            powers_uw.append(_read_millionths(kind, text))
        elif kind.startswith("current"):
            current_ua = _read_millionths(kind, text)
        elif kind.startswith("voltage"):
            powers_uw.append(_multiply(current_ua, _read_millionths(kind, text)))
            current_ua = None
    known_uw = [abs(power_uw) for power_uw in powers_uw if power_uw is not None]
    if len(known_uw) < len(powers_uw):
        return None
    lowest, highest = _POWER_UW
    return sum(known_uw) if lowest <= sum(known_uw) <= highest else None


def find_direction(kind: str, text: str) -> int:
    """Return 1 or -1 for a current that clearly flows one way, else 0.

    A battery's current changes its sign when a charger is plugged in or out.
    """
    current_ua = _read_millionths(kind, text) if kind.startswith("current") else None
    if current_ua is None or abs(current_ua) < _LEAST_CURRENT_UA:
        return 0
    return 1 if current_ua > 0 else -1


def _read_millionths(kind: str, text: str) -> float | None:
    """Return a reading in µV, µA or µW."""
    number = parse_number(text)
    return None if number is None else number * _MILLIONTHS[kind]


def _read_base_unit(kind: str, text: str) -> float | None:
    """Return a reading in V, A or W."""
    number = _read_millionths(kind, text)
    return None if number is None else number / 1e6


def _multiply(current_ua: float | None, voltage_uv: float | None) -> float | None:
    if current_ua is None or voltage_uv is None:
        return None
    power_uw = current_ua * voltage_uv / 1e6
    return power_uw if abs(power_uw) <= _MAX_PAIR_UW else None


def _sum_rails_uw(printed: str) -> float | None:
    """Parse pairs of lines, joined by commas, and sum the products.

    Such a pair is `3V3_SYS_A current(1)=0.0654A` and `3V3_SYS_V volt(9)=3.31V`.
    """
    rails: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, unit, number in _RAIL.findall(printed):
        rails[unit][rail] = float(number)
    products = [
        1e6 * amperes * rails["V"][rail]
        for rail, amperes in rails["A"].items()
        if rail in rails["V"]
    ]
    return sum(products) if products else None
