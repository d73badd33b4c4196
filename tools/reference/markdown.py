"""Markdown tables."""

from collections.abc import Iterable, Sequence


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar or a line break inside a cell does not end it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(_format_row(cells) for cells in lines) + "\n"


def _format_row(cells: Sequence[str]) -> str:
    texts = [" ".join(cell.split()).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(texts)} |"


def as_code(text: object) -> str:
    return f"`{text}`"
