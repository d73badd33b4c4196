"""Tables for a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.core.comparison import Comparison, Ratio
from harness.core.units import counted, show_bytes, show_count, show_percent, show_us
from harness.report.variants import labels

Row = Mapping[str, Any]
BEST = "★"


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in set(right) else "left", no_wrap=column in set(right))
    return made


def add(made: Table, *cells: str) -> None:
    """A row of plain text: brackets and colons in a name are the user's, not markup."""
    made.add_row(*map(Text, cells))


_ENDLESS = 10_000
# What a narrow terminal can do without, the first first.
_DISPENSABLE = ("float MACs", "binary MACs", "95 % interval", "precision", "threads", "quality")


def print_leaderboard(out: Console, rows: Sequence[Row]) -> None:
    """With as many columns as the terminal has room for; a last line says which it has not."""
    for count in range(len(_DISPENSABLE) + 1):
        left_out = _DISPENSABLE[:count]
        made = leaderboard(rows, left_out)
        if Measurement.get(out, out.options.update_width(_ENDLESS), made).maximum <= out.width:
            break
    out.print(made)
    if left_out:
        out.print(f"(No room here for {', '.join(left_out)}: `harness query leaderboard` has all.)")


def leaderboard(rows: Sequence[Row], left_out: Sequence[str] = ()) -> Table:
    """Every measured variant; a star at the best of each column, device by device and thread count by thread count."""
    numbers = ("accuracy", "size", "latency", "95 % interval", "binary MACs", "float MACs")
    columns = [
        name for name in ("device", "threads", "variant", "precision", *numbers, "quality") if name not in left_out
    ]
    made = table(*columns, right=("threads", *numbers))
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    best = {key: {column: _best(group, column) for column in _BEST} for key, group in groups.items()}
    for row, label in zip(rows, labels(rows), strict=True):
        stars = {column: f" {BEST}" if row[column] == value else "  " for column, value in best[_group(row)].items()}
        cells = {
            "device": row["device"],
            "threads": str(row["threads"]),
            "variant": label,
            "precision": row["precision"] or "–",
            "accuracy": show_percent(row["accuracy"]) + stars["accuracy"],
            "size": show_bytes(row["size_bytes"]) + stars["size_bytes"],
            "latency": show_us(row["latency_us"]) + stars["latency_us"],
            "95 % interval": interval(row),
            "binary MACs": show_count(row["binary_macs"]),
            "float MACs": show_count(row["float_macs"]),
            "quality": ", ".join(warning.partition(":")[0] for warning in row["quality"].split("; ")),
        }
        add(made, *(cells[name] for name in columns))
    return made


def _group(row: Row) -> tuple[Any, ...]:
    return row["device"], row["threads"], row["dataset"]


_BEST: dict[str, Callable[[Iterable[Any]], Any]] = {"accuracy": max, "size_bytes": min, "latency_us": min}


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
    return [_verdict([(row, label) for row, label in named if _group(row) == group]) for group in groups]


def _verdict(named: Sequence[tuple[Row, str]]) -> str:
    def winner(column: str, best: Callable[..., Any], show: Callable[[Any], str]) -> str:
        known = [(row, label) for row, label in named if row[column] is not None]
        if not known:
            return "unknown"
        row, label = best(known, key=lambda one: one[0][column])
        words = (label, row["precision"], f"({show(row[column])})")
        return " ".join(word for word in words if word)

    first = named[0][0]
    where = f"{first['dataset'] or 'your models'} on {first['device']}, {counted(first['threads'], 'thread')}"
    return (
        f"{where}: most accurate {winner('accuracy', max, show_percent)}, "
        f"smallest {winner('size_bytes', min, show_bytes)}, fastest {winner('latency_us', min, show_us)}."
    )


def comparison(compared: Sequence[Comparison], metrics: Sequence[str]) -> Table:
    """One row a pair: both values and their ratio, candidate over baseline."""
    wanted = [name for name in _METRIC_COLUMNS if name in metrics]
    headings = [heading for name in wanted for heading in _METRIC_COLUMNS[name][0]]
    made = table("device", "threads", "variant", *headings, right=("threads", *headings))
    names = labels([one.pair.candidate for one in compared])
    for one, label in zip(compared, names, strict=True):
        cells = [cell for name in wanted for cell in _METRIC_COLUMNS[name][1](one)]
        add(made, one.pair.candidate["device"], str(one.pair.candidate["threads"]), label, *cells)
    return made


def _latency_cells(one: Comparison) -> list[str]:
    old, new = one.pair.baseline, one.pair.candidate
    return [f"{show_us(old['latency_us'])} → {show_us(new['latency_us'])}", show_ratio(one.latency)]


def _size_cells(one: Comparison) -> list[str]:
    old, new = one.pair.baseline, one.pair.candidate
    return [f"{show_bytes(old['size_bytes'])} → {show_bytes(new['size_bytes'])}", show_ratio(one.size)]


def _accuracy_cells(one: Comparison) -> list[str]:
    old, new = one.pair.baseline, one.pair.candidate
    points = "–" if one.accuracy is None else f"{100 * one.accuracy:+.1f} points"
    return [f"{show_percent(old['accuracy'])} → {show_percent(new['accuracy'])}", points]


def _memory_cells(one: Comparison) -> list[str]:
    old, new = one.pair.baseline["peak_memory_bytes"], one.pair.candidate["peak_memory_bytes"]
    ratio = "–" if not old or not new else show_ratio(Ratio(new / old))
    return [f"{show_bytes(old)} → {show_bytes(new)}", ratio]


_METRIC_COLUMNS: dict[str, tuple[list[str], Callable[[Comparison], list[str]]]] = {
    "latency": (["latency", "ratio"], _latency_cells),
    "size": (["size", "size ratio"], _size_cells),
    "accuracy": (["accuracy", "difference"], _accuracy_cells),
    "memory": (["peak memory", "memory ratio"], _memory_cells),
}


def show_ratio(ratio: Ratio) -> str:
    bounds = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3g} … {ratio.high:.3g})"
    return "–" if isnan(ratio.value) else f"× {ratio.value:.3g}{bounds}"


def plain_rows(columns: Sequence[str], values: Iterable[Sequence[Any]]) -> Table:
    made = table(*columns)
    for row in values:
        add(
            made,
            *("" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in row),
        )
    return made
