"""`harness compare`: which rows are held against which, and what their numbers say. Pure functions over rows."""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any

from harness.core.comparison import METRICS, Comparison, Pair, Ratio
from harness.core.errors import RequestError
from harness.core.sweep import Precision

Row = Mapping[str, Any]
_ALIKE = ("device", "tool", "protocol", "threads")
_SHORTEST_PREFIX = 4
_PRECISIONS = frozenset(precision.value for precision in Precision)


def pairs(rows: Sequence[dict[str, Any]], baseline: str, candidate: str) -> tuple[Pair, ...]:
    """Every baseline row with its candidate row, measured alike; of two precisions only twins.

    Raises RequestError where a word selects nothing or more than one artifact a device, or nothing matches.
    """
    keys: tuple[str, ...] = _ALIKE
    if baseline in _PRECISIONS and candidate in _PRECISIONS:
        keys = (*_ALIKE, "twin", "format")
    chosen, held = _by_key(rows, baseline, keys), _by_key(rows, candidate, keys)
    found = tuple(Pair(row, held[key]) for key, row in chosen.items() if key in held)
    if not found:
        raise RequestError(
            f"{baseline} and {candidate} were never measured alike "
            "(same device, tool, protocol and threads); bench both."
        )
    return found


def _by_key(rows: Sequence[dict[str, Any]], word: str, keys: Sequence[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    selected = list(filter(_selects(word), rows))
    if not selected:
        raise RequestError(
            f"{word!r} is no precision, trial, artifact or model file that has been measured; "
            "`harness query leaderboard` lists them."
        )
    chosen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in selected:
        other = chosen.setdefault(tuple(row[key] for key in keys), row)
        if other["artifact"] != row["artifact"]:
            raise RequestError(
                f"{word!r} selects several artifacts on {row['device']} "
                f"({other['artifact'][:12]} and {row['artifact'][:12]}); name one of them."
            )
    return chosen


def _selects(word: str) -> Callable[[Row], bool]:
    if word in _PRECISIONS:
        return lambda row: row["precision"] == word
    if len(word) < _SHORTEST_PREFIX:
        return lambda row: row["file"] == word
    return lambda row: (
        str(row["trial"] or "").startswith(word) or row["artifact"].startswith(word) or row["file"] == word
    )


def compared(pair: Pair) -> Comparison:
    return Comparison(
        pair,
        _latency_ratio(pair),
        Ratio(pair.candidate["size_bytes"] / pair.baseline["size_bytes"]),
        _accuracy_difference(pair),
    )


def _latency_ratio(pair: Pair) -> Ratio:
    """Of the medians; bounded by the ends of both intervals.

    That is wider than 95 %: nothing is claimed that they do not hold.
    """
    old, new = pair.baseline, pair.candidate
    if not old["latency_us"]:
        return Ratio(nan)
    value = new["latency_us"] / old["latency_us"]
    if None in (old["latency_low_us"], new["latency_low_us"]) or not old["latency_low_us"]:
        return Ratio(value)
    return Ratio(value, new["latency_low_us"] / old["latency_high_us"], new["latency_high_us"] / old["latency_low_us"])


def _accuracy_difference(pair: Pair) -> float | None:
    """Candidate minus baseline, in shares of 1; None where either has none."""
    old, new = pair.baseline["accuracy"], pair.candidate["accuracy"]
    return None if old is None or new is None else new - old


def regression(pair: Pair, metric: str) -> float | None:
    """How much worse the candidate is, as a share of the baseline: 0.05 is 5 % slower, larger, or less accurate."""
    old, new = pair.baseline[METRICS[metric]], pair.candidate[METRICS[metric]]
    if old is None or new is None or old == 0:
        return None
    return float((old - new) / old if metric == "accuracy" else (new - old) / old)
