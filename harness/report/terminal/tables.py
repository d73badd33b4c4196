"""Tables for a terminal."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.core.comparison import Comparison, Estimate, Verdict
from harness.core.units import counted, show_bytes, show_count, show_percent, show_us
from harness.report.variants import labels

Row = Mapping[str, Any]
BEST = "★"


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in set(right) else "left",
            no_wrap=column in set(right),
        )
    return made


def add(made: Table, *cells: str) -> None:
    """A row of plain text: brackets and colons in a name are the user's, not markup."""
    made.add_row(*map(Text, cells))


_ENDLESS = 10_000
# What a narrow terminal can do without, the first first.
_DISPENSABLE = ("float MACs", "binary MACs", "95 % interval", "precision", "threads", "quality")
_DISPENSABLE_OF_COMPARISON = (
    "size",
    "accuracy",
    "peak memory",
    "smallest change",
    "latency",
    "threads",
)


def print_leaderboard(out: Console, rows: Sequence[Row]) -> None:
    """With as many columns as the terminal has room for; a last line says which it has not."""
    _print_fitting(
        out,
        partial(leaderboard, rows),
        dispensable=_DISPENSABLE,
        elsewhere="`harness query leaderboard` has all.",
    )


def _print_fitting(
    out: Console, make: Callable[[Sequence[str]], Table], dispensable: Sequence[str], elsewhere: str
) -> None:
    """`make` is told which columns to leave out."""
    for count in range(len(dispensable) + 1):
        left_out = dispensable[:count]
        made = make(left_out)
        if Measurement.get(out, out.options.update_width(_ENDLESS), made).maximum <= out.width:
            break
    out.print(made)
    if left_out:
        out.print(f"(No room here for {', '.join(left_out)}: {elsewhere})")


def leaderboard(rows: Sequence[Row], left_out: Sequence[str] = ()) -> Table:
    """Every measured variant; a star at the best of each column, device by device and thread count by thread count."""
    numbers = ("accuracy", "size", "latency", "95 % interval", "binary MACs", "float MACs")
    told = ("protocol",) if len({row["protocol"] for row in rows}) > 1 else ()
    names = ("device", "threads", *told, "variant", "precision", *numbers, "quality")
    columns = [name for name in names if name not in left_out]
    made = table(*columns, right=("threads", *numbers))
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    best = {
        key: {column: _best(group, column) for column in _BEST} for key, group in groups.items()
    }
    for row, label in zip(rows, labels(rows), strict=True):
        stars = {
            column: f" {BEST}" if row[column] == value else "  "
            for column, value in best[_group(row)].items()
        }
        cells = {
            "device": row["device"],
            "threads": str(row["threads"]),
            "protocol": row["protocol"],
            "variant": label,
            "precision": row["precision"] or "–",
            "accuracy": show_percent(row["accuracy"]) + stars["accuracy"],
            "size": show_bytes(row["size_bytes"]) + stars["size_bytes"],
            "latency": show_us(row["latency_us"]) + stars["latency_us"],
            "95 % interval": interval(row),
            "binary MACs": show_count(row["binary_macs"]),
            "float MACs": show_count(row["float_macs"]),
            "quality": warning_names(row["quality"]),
        }
        add(made, *(cells[name] for name in columns))
    return made


def warning_names(quality: str) -> str:
    return ", ".join(warning.partition(":")[0] for warning in quality.split("; "))


def explained(rows: Sequence[Row]) -> list[str]:
    """Each warning of these rows once, in full, and how many rows have it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for warning in row["quality"].split("; ") if row["quality"] != "ok" else ():
            found.setdefault(warning.partition(":")[0], []).append(warning)
    return [
        one if not more else f"{one} (and {len(more)} more like it)"
        for one, *more in found.values()
    ]


def _group(row: Row) -> tuple[Any, ...]:
    return row["device"], row["threads"], row["protocol"], row["dataset"]


_BEST: dict[str, Callable[[Iterable[Any]], Any]] = {
    "accuracy": max,
    "size_bytes": min,
    "latency_us": min,
}


def _best(group: Sequence[Row], column: str) -> Any:
    """What equals nothing, where there is nothing to be better than."""
    values = [row[column] for row in group if row[column] is not None]
    return _BEST[column](values) if len(values) > 1 else object()


def interval(row: Row) -> str:
    if row["latency_low_us"] is None:
        return "–"
    return f"{show_us(row['latency_low_us'])} … {show_us(row['latency_high_us'])}"


def verdicts(rows: Sequence[Row]) -> list[str]:
    """A sentence for each device, thread count and data set: most accurate, smallest, fastest."""
    named = list(zip(rows, labels(rows), strict=True))
    groups = list(dict.fromkeys(_group(row) for row in rows))
    return [
        _verdict([(row, label) for row, label in named if _group(row) == group]) for group in groups
    ]


def _verdict(named: Sequence[tuple[Row, str]]) -> str:
    def winner(
        title: str, column: str, best: Callable[..., Any], show: Callable[[Any], str]
    ) -> list[str]:
        known = [(row, label) for row, label in named if row[column] is not None]
        if not known:
            return []
        row, label = best(known, key=lambda one: one[0][column])
        words = (title, label, row["precision"], f"({show(row[column])})")
        return [" ".join(word for word in words if word)]

    first = named[0][0]
    where = f"{first['dataset'] or 'your models'} on {first['device']}, {counted(first['threads'], 'thread')}"
    told = (
        *winner("most accurate", "accuracy", max, show_percent),
        *winner("smallest", "size_bytes", min, show_bytes),
        *winner("fastest", "latency_us", min, show_us),
    )
    return f"{where}: {', '.join(told)}."


def print_comparison(out: Console, compared: Sequence[Comparison], metrics: Sequence[str]) -> None:
    """With as many columns as the terminal has room for; a last line says which it has not."""
    headings = {heading for name in metrics for heading in _METRIC_COLUMNS[name][0]}
    dispensable = [name for name in _DISPENSABLE_OF_COMPARISON if name in {"threads", *headings}]
    _print_fitting(
        out,
        partial(comparison, compared, metrics),
        dispensable=dispensable,
        elsewhere="--metric shows one metric alone.",
    )


def comparison(
    compared: Sequence[Comparison], metrics: Sequence[str], left_out: Sequence[str] = ()
) -> Table:
    """One row a pair: both values and what lies between them."""
    wanted = [name for name in _METRIC_COLUMNS if name in metrics]
    headings = [heading for name in wanted for heading in _METRIC_COLUMNS[name][0]]
    columns = [name for name in ("device", "threads", "variant", *headings) if name not in left_out]
    made = table(*columns, right={"threads", *headings} - {"verdict"})
    names = labels([one.pair.candidate for one in compared])
    for one, label in zip(compared, names, strict=True):
        row = one.pair.candidate
        numbers = [cell for name in wanted for cell in _METRIC_COLUMNS[name][1](one)]
        cells = {"device": row["device"], "threads": str(row["threads"]), "variant": label}
        cells.update(zip(headings, numbers, strict=True))
        add(made, *(cells[name] for name in columns))
    return made


def _both(one: Comparison, column: str, show: Callable[[Any], str]) -> str:
    return f"{show(one.pair.baseline[column])} → {show(one.pair.candidate[column])}"


def _latency_cells(one: Comparison) -> list[str]:
    least = show_percent(one.latency.smallest_change)
    return [
        _both(one, "latency_us", show=show_us),
        show_ratio(one.latency),
        str(one.verdict),
        least,
    ]


def _size_cells(one: Comparison) -> list[str]:
    return [_both(one, "size_bytes", show=show_bytes), show_ratio(one.size)]


def _accuracy_cells(one: Comparison) -> list[str]:
    return [_both(one, "accuracy", show=show_percent), show_points(one.accuracy)]


def _memory_cells(one: Comparison) -> list[str]:
    old, new = one.pair.baseline["peak_memory_bytes"], one.pair.candidate["peak_memory_bytes"]
    return [
        _both(one, "peak_memory_bytes", show=show_bytes),
        show_ratio(Estimate(new / old)) if old and new else "–",
    ]


_METRIC_COLUMNS: dict[str, tuple[list[str], Callable[[Comparison], list[str]]]] = {
    "latency": (["latency", "ratio", "verdict", "smallest change"], _latency_cells),
    "size": (["size", "size ratio"], _size_cells),
    "accuracy": (["accuracy", "difference"], _accuracy_cells),
    "memory": (["peak memory", "memory ratio"], _memory_cells),
}


def show_ratio(ratio: Estimate) -> str:
    return "–" if isnan(ratio.value) else f"× {_times(ratio.value)}{_bounds(ratio, _times)}"


def _times(factor: float) -> str:
    """As fine just over 1 as just under it: 0.996, 1.004."""
    return f"{factor:.3g}" if factor < 1 else f"{factor:.4g}"


def show_points(difference: Estimate | None) -> str:
    """Of shares of 1, in percentage points."""
    if difference is None:
        return "–"
    return f"{_points(difference.value)} points{_bounds(difference, _points)}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _bounds(estimate: Estimate, show: Callable[[float], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" ({show(estimate.low)} … {show(estimate.high)})"


def conclusions(compared: Sequence[Comparison], candidate: str) -> list[str]:
    """A sentence for each device and thread count: in how many of its variants the candidate is faster, or is not."""
    groups: dict[tuple[Any, ...], list[Comparison]] = {}
    for one in compared:
        row = one.pair.candidate
        groups.setdefault((row["device"], row["threads"]), []).append(one)
    return [
        f"{device}, {counted(threads, 'thread')}: {_conclusion(group, candidate)}."
        for (device, threads), group in groups.items()
    ]


def _conclusion(group: Sequence[Comparison], candidate: str) -> str:
    """`binary is faster in 5 of 6 variants (× 0.21 to × 0.84), no difference found in 1, where …`."""
    subject = (
        f"{candidate} is "
        if {Verdict.FASTER, Verdict.SLOWER} & {one.verdict for one in group}
        else ""
    )
    parts, of_all = [], f" of {counted(len(group), 'variant')}"
    for verdict, told in _TOLD.items():
        if found := [one.latency for one in group if one.verdict is verdict]:
            parts.append(f"{verdict} in {len(found)}{of_all}{told(found)}")
            of_all = ""
    return subject + ", ".join(parts)


def _range(ratios: Sequence[Estimate]) -> str:
    ends = dict.fromkeys(f"× {_times(end(ratio.value for ratio in ratios))}" for end in (min, max))
    return f" ({' to '.join(ends)})"


def _would_have_shown(ratios: Sequence[Estimate]) -> str:
    known = [ratio.smallest_change for ratio in ratios if ratio.smallest_change is not None]
    return f", where a change of {show_percent(max(known))} would have shown" if known else ""


def _too_little(_: Sequence[Estimate]) -> str:
    return ", whose runs are too few or too short to tell"


_TOLD: dict[Verdict, Callable[[Sequence[Estimate]], str]] = {
    Verdict.FASTER: _range,
    Verdict.SLOWER: _range,
    Verdict.NO_DIFFERENCE: _would_have_shown,
    Verdict.UNKNOWN: _too_little,
}


def told_differences(compared: Sequence[Comparison]) -> list[str]:
    """What else differed between the two sides of a pair, each once, with where it did."""
    pairs_of = Counter(one.pair.candidate["device"] for one in compared)
    where: dict[str, Counter[str]] = {}
    for one in compared:
        for difference in one.pair.differences:
            where.setdefault(difference, Counter())[one.pair.candidate["device"]] += 1
    return [
        f"{', '.join(_where(device, count, of_all=pairs_of[device]) for device, count in found.items())}: {difference}"
        for difference, found in where.items()
    ]


def _where(device: str, count: int, of_all: int) -> str:
    return device if count == of_all else f"{device} ({count} of {of_all})"


def plain_rows(columns: Sequence[str], values: Iterable[Sequence[Any]]) -> Table:
    """As they are, but for `quality`, of which the warnings' names have to do here."""
    made = table(*columns)
    for row in values:
        add(made, *(_plain(column, value) for column, value in zip(columns, row, strict=True)))
    return made


def _plain(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return show_bytes(len(value))
    return warning_names(value) if column == "quality" and isinstance(value, str) else str(value)
