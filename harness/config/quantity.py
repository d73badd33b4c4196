"""Quantities with units, such as `5 ms`, as people write them in a sweep file."""

import json
import re
from collections.abc import Mapping
from fractions import Fraction

from harness.config.yaml_text import show_briefly
from harness.core.search import LimitedMetric

_SECONDS = {"us": 1, "µs": 1, "μs": 1, "ms": 10**3, "s": 10**6}
_JOULES = {"uJ": 1, "µJ": 1, "μJ": 1, "mJ": 10**3, "J": 10**6}
_BYTES = {
    **{"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
}
UNITS: Mapping[LimitedMetric, Mapping[str, int]] = {
    "latency": _SECONDS,
    "energy": _JOULES,
    "memory": _BYTES,
    "size": _BYTES,
}
"""The units of each metric, as multiples of its column's: µs, µJ or bytes.

The letter µ has two code points: keyboards have one (U+00B5), Greek texts the other (U+03BC).
"""

EXAMPLES: Mapping[LimitedMetric, str] = {
    "latency": "5 ms",
    "energy": "3 mJ",
    "memory": "64 MB",
    "size": "1 MB",
}
LOWEST, HIGHEST = Fraction(1, 1000), 10**12
"""The bounds of a quantity in its column's unit: no device or model comes near either."""

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_QUANTITY = re.compile(rf"({_NUMBER}) *([^\W\d_]+)")
_SPELLINGS = "|".join(sorted({*_SECONDS, *_JOULES, *_BYTES}))
PATTERN = rf"^{_NUMBER} *({_SPELLINGS})$"
"""Every quantity, as a regular expression of JSON Schema."""


def parse_quantity(value: object, metric: LimitedMetric) -> float:
    """Return a limit for the metric, such as `5 ms`, in its column's unit: µs, µJ or bytes.

    Raises ValueError, whose text says what the value is and what to write instead.
    """
    brief = show_briefly(json.dumps(value, ensure_ascii=False, default=str))
    example = f"for example {EXAMPLES[metric]}"
    if _is_bare_number(value):
        raise ValueError(f"is {brief}, without a unit; write {example}")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {brief}, but must be a number with a unit, {example}")
    number, unit = match.groups()
    if unit not in UNITS[metric]:
        raise ValueError(
            f"is {brief}, but {metric} has the units {_list_units(metric)}; write {example}"
        )
    quantity = Fraction(number) * UNITS[metric][unit]
    if not LOWEST <= quantity <= HIGHEST:
        raise ValueError(f"is {brief}, which no {metric} comes near; write {example}")
    return float(quantity)


def _is_bare_number(value: object) -> bool:
    if isinstance(value, str):
        return re.fullmatch(_NUMBER, value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list_units(metric: LimitedMetric) -> str:
    return ", ".join(unit for unit in UNITS[metric] if unit.isascii())
