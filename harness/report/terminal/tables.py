"""Tables for a terminal, and sentences about them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isnan
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.core.comparison import Basis, Comparison, Estimate, ResultRow
from harness.core.quality import Warning, name_warnings, parse_quality
from harness.core.units import count_noun, format_bytes, format_count, format_percent, format_us
from harness.report.variants import label_rows

BEST = "★"


def make_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """Return an empty table; the columns named by `right` are right-aligned and never wrap."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in set(right) else "left",
            no_wrap=column in set(right),
        )
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text: brackets and colons in a name are the user's, not markup."""
    table.add_row(*map(Text, cells))


def read_rows(table: Table) -> list[dict[str, str]]:
    """Return the cells of each row by their heading."""
    headings = [str(column.header) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return [dict(zip(headings, map(str, row), strict=True)) for row in rows]


_UNLIMITED_WIDTH = 10_000
# Columns that a narrow terminal can do without, in the order in which they are dropped.
_DISPENSABLE = ("float MACs", "binary MACs", "95 % interval", "precision", "threads", "quality")
_DISPENSABLE_OF_COMPARISON = (
    "compared",
    "size",
    "accuracy",
    "peak memory",
    "smallest change",
    "latency",
    "threads",
)


def print_leaderboard(out: Console, rows: Sequence[ResultRow]) -> None:
    """Print as many columns as the terminal has room for; a last line names the hidden ones."""
    _print_fitting(
        out,
        partial(make_leaderboard, rows),
        dispensable=_DISPENSABLE,
        alternative="`harness query leaderboard` shows all columns.",
    )


def _print_fitting(
    out: Console,
    make: Callable[[Sequence[str]], Table],
    dispensable: Sequence[str],
    alternative: str,
) -> None:
    """Print the widest table that fits; `make` takes the columns to hide."""
    for count in range(len(dispensable) + 1):
        hidden = dispensable[:count]
        table = make(hidden)
        options = out.options.update_width(_UNLIMITED_WIDTH)
        if Measurement.get(out, options, table).maximum <= out.width:
            break
    out.print(table)
    if hidden:
        out.print(f"(The terminal is too narrow for: {', '.join(hidden)}. {alternative})")


def make_leaderboard(rows: Sequence[ResultRow], hidden: Sequence[str] = ()) -> Table:
    """Return a table of all measured variants.

    A star marks the best value of each column for one device, thread count, protocol and data set.
    """
    numbers = ("accuracy", "size", "latency", "95 % interval", "binary MACs", "float MACs")
    protocol = ("protocol",) if len({row["protocol"] for row in rows}) > 1 else ()
    headings = ("device", "threads", *protocol, "variant", "precision", *numbers, "quality")
    columns = [heading for heading in headings if heading not in hidden]
    table = make_table(*columns, right=("threads", *numbers))
    best = {key: _best_values(group) for key, group in _group_rows(rows).items()}
    for row, label in zip(rows, label_rows(rows), strict=True):
        stars = {
            column: f" {BEST}" if row[column] == value else "  "
            for column, value in best[_group_of(row)].items()
        }
        cells = {
            "device": row["device"],
            "threads": str(row["threads"]),
            "protocol": row["protocol"],
            "variant": label,
            "precision": row["precision"] or "–",
            "accuracy": format_percent(row["accuracy"]) + stars["accuracy"],
            "size": format_bytes(row["size_bytes"]) + stars["size_bytes"],
            "latency": format_us(row["latency_us"]) + stars["latency_us"],
            "95 % interval": format_interval(row),
            "binary MACs": format_count(row["binary_macs"]),
            "float MACs": format_count(row["float_macs"]),
            "quality": name_warnings(parse_quality(row["quality"])),
        }
        add_row(table, *(cells[column] for column in columns))
    return table


def describe_warnings(rows: Sequence[ResultRow]) -> list[str]:
    """Return each kind of warning once, in full, with the number of rows that have it."""
    by_name: dict[str, list[Warning]] = {}
    for row in rows:
        for warning in parse_quality(row["quality"]):
            by_name.setdefault(warning.name, []).append(warning)
    return [
        f"{first} (and {len(others)} more like it)" if others else str(first)
        for first, *others in by_name.values()
    ]


def _group_rows(rows: Sequence[ResultRow]) -> dict[tuple[Any, ...], list[ResultRow]]:
    groups: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(_group_of(row), []).append(row)
    return groups


def _group_of(row: ResultRow) -> tuple[Any, ...]:
    return row["device"], row["threads"], row["protocol"], row["dataset"]


_BEST: dict[str, Callable[[Iterable[Any]], Any]] = {
    "accuracy": max,
    "size_bytes": min,
    "latency_us": min,
}


def _best_values(group: Sequence[ResultRow]) -> dict[str, Any]:
    return {column: _best_value(group, column) for column in _BEST}


def _best_value(group: Sequence[ResultRow], column: str) -> Any:
    """Return the best value, or one that equals nothing if the column has no two to compare."""
    values = [row[column] for row in group if row[column] is not None]
    return _BEST[column](values) if len(values) > 1 else object()


def format_interval(row: ResultRow) -> str:
    """Return the 95 % interval of the row's latency, or an en dash without one."""
    if row["latency_low_us"] is None:
        return "–"
    return f"{format_us(row['latency_low_us'])} … {format_us(row['latency_high_us'])}"


def describe_best(rows: Sequence[ResultRow]) -> list[str]:
    """Return a sentence for each device, thread count, protocol and data set.

    It names the most accurate, the smallest and the fastest variant.
    """
    groups: dict[tuple[Any, ...], list[tuple[ResultRow, str]]] = {}
    for row, label in zip(rows, label_rows(rows), strict=True):
        groups.setdefault(_group_of(row), []).append((row, label))
    return [_describe_best_of(group) for group in groups.values()]


def _describe_best_of(labelled: Sequence[tuple[ResultRow, str]]) -> str:
    row, _ = labelled[0]
    threads = count_noun(row["threads"], "thread")
    winners = (
        _describe_winner(labelled, "accuracy", title="most accurate", show=format_percent),
        _describe_winner(labelled, "size_bytes", title="smallest", show=format_bytes),
        _describe_winner(labelled, "latency_us", title="fastest", show=format_us),
    )
    title = f"{row['dataset'] or 'your models'} on {row['device']}, {threads}"
    return f"{title}: {', '.join(filter(None, winners))}."


def _describe_winner(
    labelled: Sequence[tuple[ResultRow, str]], column: str, title: str, show: Callable[[Any], str]
) -> str:
    values = [row[column] for row, _ in labelled if row[column] is not None]
    if not values:
        return ""
    best = _BEST[column](values)
    row, label = next(pair for pair in labelled if pair[0][column] == best)
    parts = (title, label, row["precision"], f"({show(best)})")
    return " ".join(part for part in parts if part)


def print_comparison(out: Console, compared: Sequence[Comparison], metrics: Sequence[str]) -> None:
    """Print as many columns as the terminal has room for; a last line names the hidden ones."""
    dispensable = {"threads", *_list_headings(compared, metrics)}
    _print_fitting(
        out,
        partial(make_comparison_table, compared, metrics),
        dispensable=[name for name in _DISPENSABLE_OF_COMPARISON if name in dispensable],
        alternative="`--metric` shows one metric alone.",
    )


def make_comparison_table(
    compared: Sequence[Comparison], metrics: Sequence[str], hidden: Sequence[str] = ()
) -> Table:
    """Return a table with a row for each pair: both values, and their ratio or difference.

    A column says how latencies were compared, unless all were in blocks of one batch.
    """
    headings = _list_headings(compared, metrics)
    columns = [
        heading for heading in ("device", "threads", "variant", *headings) if heading not in hidden
    ]
    table = make_table(*columns, right={"threads", *headings} - {"verdict", "compared"})
    labels = label_rows([comparison.pair.candidate for comparison in compared])
    for comparison, label in zip(compared, labels, strict=True):
        row = comparison.pair.candidate
        cells = {"device": row["device"], "threads": str(row["threads"]), "variant": label}
        for metric in metrics:
            names, read_cells = _METRIC_COLUMNS[metric]
            cells.update(zip(names, read_cells(comparison), strict=True))
        cells["compared"] = comparison.compared
        add_row(table, *(cells[column] for column in columns))
    return table


def _list_headings(compared: Sequence[Comparison], metrics: Sequence[str]) -> list[str]:
    """Return the headings in the order of the columns, whatever the order of the metrics."""
    headings = []
    for metric, (names, _) in _METRIC_COLUMNS.items():
        if metric in metrics:
            headings += names
    is_all_by_block = all(comparison.basis is Basis.BLOCKS for comparison in compared)
    return [*headings, *(["compared"] if "latency" in metrics and not is_all_by_block else [])]


def _format_both(comparison: Comparison, column: str, show: Callable[[Any], str]) -> str:
    pair = comparison.pair
    return f"{show(pair.baseline[column])} → {show(pair.candidate[column])}"


def _make_latency_cells(comparison: Comparison) -> list[str]:
    return [
        _format_both(comparison, "latency_us", show=format_us),
        format_ratio(comparison.latency),
        str(comparison.verdict),
        format_percent(comparison.latency.smallest_change),
    ]


def _make_size_cells(comparison: Comparison) -> list[str]:
    return [
        _format_both(comparison, "size_bytes", show=format_bytes),
        format_ratio(comparison.size),
    ]


def _make_accuracy_cells(comparison: Comparison) -> list[str]:
    return [
        _format_both(comparison, "accuracy", show=format_percent),
        format_points(comparison.accuracy),
    ]


def _make_memory_cells(comparison: Comparison) -> list[str]:
    baseline, candidate = (
        row["peak_memory_bytes"] for row in (comparison.pair.baseline, comparison.pair.candidate)
    )
    return [
        _format_both(comparison, "peak_memory_bytes", show=format_bytes),
        format_ratio(Estimate(candidate / baseline)) if baseline and candidate else "–",
    ]


_METRIC_COLUMNS: dict[str, tuple[list[str], Callable[[Comparison], list[str]]]] = {
    "latency": (["latency", "ratio", "verdict", "smallest change"], _make_latency_cells),
    "size": (["size", "size ratio"], _make_size_cells),
    "accuracy": (["accuracy", "difference"], _make_accuracy_cells),
    "memory": (["peak memory", "memory ratio"], _make_memory_cells),
}


def format_ratio(ratio: Estimate) -> str:
    """Return the ratio with its interval, such as `× 0.25 (0.24 … 0.26)`; NaN is an en dash."""
    return (
        "–"
        if isnan(ratio.value)
        else f"× {_format_factor(ratio.value)}{_format_bounds(ratio, _format_factor)}"
    )


def _format_factor(factor: float) -> str:
    """Round as finely just above 1 as just below it: 0.996, 1.004."""
    return f"{factor:.3g}" if factor < 1 else f"{factor:.4g}"


def format_points(difference: Estimate | None) -> str:
    """Return a difference of shares of 1 in percentage points, with its interval."""
    if difference is None:
        return "–"
    bounds = _format_bounds(difference, _format_share_in_points)
    return f"{_format_share_in_points(difference.value)} points{bounds}"


def _format_share_in_points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _format_bounds(estimate: Estimate, show: Callable[[float], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" ({show(estimate.low)} … {show(estimate.high)})"


def tabulate(columns: Sequence[str], values: Iterable[Sequence[Any]]) -> Table:
    """Return a table of the values as they are; of `quality` only the names of the warnings."""
    table = make_table(*columns)
    for row in values:
        cells = (_format_value(column, value) for column, value in zip(columns, row, strict=True))
        add_row(table, *cells)
    return table


def _format_value(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return format_bytes(len(value))
    if column == "quality" and isinstance(value, str):
        return name_warnings(parse_quality(value))
    return str(value)
