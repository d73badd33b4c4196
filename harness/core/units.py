"""Numbers with units, for people. Stored ones have the unit in their name, such as `_us`."""

# From this share of a unit on, three digits would show 1000 of the next smaller one.
_ROUNDS_UP = 0.9995
_BYTE_STEPS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def format_us(microseconds: float | None) -> str:
    """Return such as `12.3 µs`, `4.56 ms` or `1.23 s`; an en dash for None."""
    return _format_millionths(microseconds, "s")


def format_uj(microjoules: float | None) -> str:
    """Return such as `12.3 µJ`, `4.56 mJ` or `1.23 J`; an en dash for None."""
    return _format_millionths(microjoules, "J")


def _format_millionths(millionths: float | None, unit: str) -> str:
    if millionths is None:
        return "–"
    if millionths < _ROUNDS_UP * 1e3:
        return f"{millionths:.3g} µ{unit}" if millionths < 100 else f"{millionths:.0f} µ{unit}"
    if millionths < _ROUNDS_UP * 1e6:
        return f"{_three_digits(millionths / 1e3)} m{unit}"
    return f"{_three_digits(millionths / 1e6)} {unit}"


def format_bytes(size: int | None) -> str:
    if size is None:
        return "–"
    for step, unit in _BYTE_STEPS:
        if size >= _ROUNDS_UP * step:
            return f"{_three_digits(size / step)} {unit}"
    return f"{size} B"


def format_count(count: int | None) -> str:
    """Return a count of operations or parameters, such as `1.23 M`; an en dash for None."""
    if count is None:
        return "–"
    for step, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= _ROUNDS_UP * step:
            return f"{_three_digits(count / step)} {unit}"
    return str(count)


def format_percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def count_noun(number: int, noun: str) -> str:
    """Return such as `1 case` or `2 cases`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
